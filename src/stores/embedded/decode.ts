import type { Frame } from '../../base/index.ts';
import { eachRecord, Reader } from '../../otlp/index.ts';
import type { Refusal } from '../contract.ts';
import { AttributeWriter, writeAny } from './attributes.ts';
import { type Column, Places, type Rows } from './columns.ts';
import type { KeyTable } from './keys.ts';
import { futureMaxMs } from './limits.ts';
import type { Origin, Origins } from './origins.ts';
import { bucketOf, minuteOf, type RollUp } from './rollup.ts';

// Export requests into rows: no object for a span or a log record. Source: OTLP 1.11.0, trace.proto, logs.proto.

export interface DecodeTarget {
  readonly buffer: Rows;
  readonly keys: KeyTable;
  readonly promoted: readonly Column[];
  readonly origins: Origins;
  readonly rollUp: RollUp;
  /** Records older than this before their receipt are filed under their receipt: see `hourOf`. */
  readonly retentionMs: number;
}

const empty = new Uint8Array(0);

/** Separates the texts of a span that are searched together; occurs in none. */
const separator = 0x1f;

export interface Decoder {
  /** @param index of the frame in its batch, for refusals. */
  decode(frame: Frame, index: number, refused: Refusal[]): void;
}

/**
 * The hour (since 1970) under which a record is filed. That of its time, unless its time is absurd: more than ten minutes
 * after its receipt, or longer before it than records are kept. Then that of its receipt, so that no file of the year 2554
 * is kept for ever and no late record is deleted as it comes. The record's own time is stored as it is.
 * @param low the time's lower half, ns since 1970; `high` the upper one, unsigned.
 */
export function hourOf(low: number, high: number, receivedMs: number, retentionMs: number): number {
  const timeMs = (high * 4294967296 + low) / 1e6;
  if (timeMs > receivedMs + futureMaxMs || timeMs < receivedMs - retentionMs) return Math.floor(receivedMs / 3_600_000);
  return Math.floor(minuteOf(low, high) / 60);
}

export function received(frame: Frame): { ms: number; low: number; high: number } {
  const nanos = BigInt.asUintN(64, frame.receivedUnixNano);
  return { ms: Number(nanos / 1_000_000n), low: Number(nanos & 0xffffffffn), high: Number(nanos >> 32n) };
}

/** What rows of spans and of log records have in common. */
function commonOf({ buffer, keys, promoted }: DecodeTarget) {
  const column = (name: string) => buffer.column(name);
  return {
    column,
    attributes: new AttributeWriter({ buffer, keys, promoted }),
    hour: column('hour'),
    time: column('time_unix_nano'),
    service: column('service'),
    originId: column('origin'),
    overflow: column('attributes'),
    raw: column('record'),
  };
}

/** Begins a row for each record; `fill` ends it or drops it. @param fill `number`: the record's place in its request. */
function eachRow(
  { buffer, origins }: DecodeTarget,
  attributes: AttributeWriter,
  body: Uint8Array,
  fill: (row: number, number: number, origin: Origin, start: number, end: number) => void,
): void {
  let number = 0;
  eachRecord(body, origins, (origin, start, end) => {
    const { row } = buffer;
    attributes.begin(row);
    fill(row, number++, origin, start, end);
  });
}

export function traceDecoder(target: DecodeTarget): Decoder {
  const { buffer, rollUp } = target;
  const { column, attributes, hour, time, service, originId, overflow, raw } = commonOf(target);
  const traceId = column('trace_id');
  const spanId = column('span_id');
  const parentSpanId = column('parent_span_id');
  const duration = column('duration_nanos');
  const kind = column('kind');
  const status = column('status');
  const name = column('name');
  const searchText = column('search_text');
  /** Texts that are searched. */
  const texts = new Places();
  const span = new Reader(empty);
  const message = new Reader(empty);

  return {
    decode(frame, index, refused) {
      const { body } = frame;
      const came = received(frame);
      eachRow(target, attributes, body, (row, number, origin, start, end) => {
        texts.used = 0;
        let traceAt = -1;
        let spanAt = -1;
        let parentAt = -1;
        let nameStart = 0;
        let nameEnd = 0;
        let startLow = 0;
        let startHigh = 0;
        let endLow = 0;
        let endHigh = 0;
        let kindValue = 0;
        let code = 0;
        span.over(body, start, end);
        while (span.next()) {
          switch (span.field) {
            case 1:
              traceAt = span.valueEnd - span.valueStart === 16 ? span.valueStart : -1;
              break;
            case 2:
              spanAt = span.valueEnd - span.valueStart === 8 ? span.valueStart : -1;
              break;
            case 4:
              parentAt = span.valueEnd - span.valueStart === 8 ? span.valueStart : -1;
              break;
            case 5:
              nameStart = span.valueStart;
              nameEnd = span.valueEnd;
              break;
            case 6:
              kindValue = span.int32();
              break;
            case 7:
              startLow = span.fixed64Low();
              startHigh = span.fixed64High();
              break;
            case 8:
              endLow = span.fixed64Low();
              endHigh = span.fixed64High();
              break;
            case 9:
              attributes.add(body, span.valueStart, span.valueEnd);
              break;
            case 11:
              eventTexts(body, span.valueStart, span.valueEnd, texts);
              break;
            case 15: {
              message.over(body, span.valueStart, span.valueEnd);
              while (message.next()) {
                if (message.field === 3) code = message.int32();
                else if (message.field === 2) texts.add(message.valueStart, message.valueEnd);
              }
              break;
            }
            default:
          }
        }
        if (traceAt < 0 || spanAt < 0) {
          buffer.dropRow();
          refused.push({
            frame: index,
            record: number,
            count: 1,
            reason: 'a span without a trace id of 16 bytes or a span id of 8',
          });
          return;
        }
        attributes.finish(body, overflow);
        raw.setBytes(row, body, start, end);
        traceId.setUuid(row, body, traceAt);
        setId64(spanId, row, body, spanAt);
        if (parentAt >= 0 && !isZero(body, parentAt, 8)) setId64(parentSpanId, row, body, parentAt);
        const known = startLow !== 0 || startHigh !== 0;
        const low = known ? startLow : came.low;
        const high = known ? startHigh : came.high;
        time.set64(row, low, high);
        const took = setDuration(duration, row, low, high, endLow, endHigh);
        const ofHour = hourOf(low, high, came.ms, target.retentionMs);
        hour.set32(row, ofHour);
        kind.set32(row, kindValue);
        status.set32(row, code);
        service.setBytes(row, origin.service, 0, origin.service.length);
        const nameCode = rollUp.text(body, nameStart, nameEnd);
        name.setFrom(row, rollUp.names, nameCode);
        if (texts.used > 0) {
          const from = buffer.used;
          const { places } = texts;
          for (let i = 0; i < texts.used; i += 2) {
            buffer.reserve(1);
            if (i > 0) buffer.scratch[buffer.used++] = separator;
            buffer.copy(body, places[i]!, places[i + 1]!);
          }
          searchText.setText(row, buffer.scratch, from, buffer.used);
        }
        originId.set64(row, origin.idLow, origin.idHigh);
        rollUp.add(origin.who, nameCode, kindValue, ofHour, low, high, bucketOf(took), code === 2 ? 1 : 0);
        buffer.endRow();
      });
    },
  };
}

/** Span ids sort and compare as the number that their hex digits are. */
function setId64(column: Column, row: number, bytes: Uint8Array, at: number): void {
  column.set64(row, bigEndian(bytes, at + 4), bigEndian(bytes, at));
}

function bigEndian(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function isZero(bytes: Uint8Array, at: number, size: number): boolean {
  for (let i = 0; i < size; i++) if (bytes[at + i] !== 0) return false;
  return true;
}

/**
 * end − start; 0 where there is no end. Negative where the end is before the start, which is kept, not mended.
 * @returns it, as near as a number can be.
 */
function setDuration(column: Column, row: number, low: number, high: number, endLow: number, endHigh: number): number {
  if (endLow === 0 && endHigh === 0) {
    column.set64(row, 0, 0);
    return 0;
  }
  // On 64 bits, like the processor would; what does not fit into a signed number is absurd and is bounded.
  let differenceHigh = endHigh - high;
  let differenceLow = endLow - low;
  if (differenceLow < 0) {
    differenceLow += 4294967296;
    differenceHigh--;
  }
  if (differenceHigh > 0x7fffffff) column.set64(row, 0xffffffff, 0x7fffffff);
  else if (differenceHigh < -0x80000000) column.set64(row, 0, 0x80000000);
  else column.set64(row, differenceLow, differenceHigh);
  return differenceHigh * 4294967296 + differenceLow;
}

const exceptionMessage = Buffer.from('exception.message');

/** An event's name and its exception's message. */
function eventTexts(body: Uint8Array, start: number, end: number, texts: Places): void {
  const event = new Reader(body, start, end);
  while (event.next()) {
    if (event.field === 2) texts.add(event.valueStart, event.valueEnd);
    else if (event.field === 3) {
      const pair = event.message();
      let matches = false;
      while (pair.next()) {
        if (pair.field === 1) {
          matches =
            pair.valueEnd - pair.valueStart === exceptionMessage.length && exceptionMessage.equals(pair.bytes());
        } else if (pair.field === 2 && matches) {
          const any = pair.message();
          while (any.next()) if (any.field === 1) texts.add(any.valueStart, any.valueEnd);
        }
      }
    }
  }
}

export function logDecoder(target: DecodeTarget): Decoder {
  const { buffer, rollUp } = target;
  const { column, attributes, hour, time, service, originId, overflow, raw } = commonOf(target);
  const digest = column('digest');
  const digestIndex = column('digest_index');
  const observedTime = column('observed_time_unix_nano');
  const severity = column('severity');
  const eventName = column('event_name');
  const bodyText = column('body');
  const traceId = column('trace_id');
  const spanId = column('span_id');
  const log = new Reader(empty);
  /** What columns have, so that it need not be in the record's bytes as well. */
  const cuts = new Places();

  return {
    decode(frame) {
      const { body } = frame;
      const came = received(frame);
      eachRow(target, attributes, body, (row, number, origin, start, end) => {
        let timeLow = 0;
        let timeHigh = 0;
        let observedLow = 0;
        let observedHigh = 0;
        let severityNumber = 0;
        let bodyAt = -1;
        let bodyStart = 0;
        let bodyEnd = 0;
        let eventStart = 0;
        let eventEnd = 0;
        let traceAt = -1;
        let traceEnd = 0;
        let spanAt = -1;
        let spanEnd = 0;
        let twice = false;
        log.over(body, start, end);
        while (log.next()) {
          switch (log.field) {
            case 1:
              timeLow = log.fixed64Low();
              timeHigh = log.fixed64High();
              break;
            case 2:
              severityNumber = log.int32();
              break;
            case 5:
              twice ||= bodyAt >= 0;
              bodyAt = log.tagStart;
              bodyStart = log.valueStart;
              bodyEnd = log.valueEnd;
              break;
            case 6:
              attributes.add(body, log.valueStart, log.valueEnd);
              break;
            case 9:
              if (log.valueEnd - log.valueStart === 16 && !isZero(body, log.valueStart, 16)) {
                traceId.setUuid(row, body, log.valueStart);
                twice ||= traceAt >= 0;
                traceAt = log.tagStart;
                traceEnd = log.valueEnd;
              }
              break;
            case 10:
              if (log.valueEnd - log.valueStart === 8 && !isZero(body, log.valueStart, 8)) {
                setId64(spanId, row, body, log.valueStart);
                twice ||= spanAt >= 0;
                spanAt = log.tagStart;
                spanEnd = log.valueEnd;
              }
              break;
            case 11:
              observedLow = log.fixed64Low();
              observedHigh = log.fixed64High();
              break;
            case 12:
              eventStart = log.valueStart;
              eventEnd = log.valueEnd;
              break;
            default:
          }
        }
        attributes.finish(body, overflow);
        if (eventEnd > eventStart) eventName.setText(row, body, eventStart, eventEnd);
        const isText = bodyAt >= 0 && setBody(buffer, bodyText, row, body, bodyStart, bodyEnd);
        cuts.used = 0;
        // In the order in which every encoder writes them; what comes otherwise stays where it is.
        if (!twice) {
          if (isText) cuts.add(bodyAt, bodyEnd);
          if (traceAt >= bodyEnd) cuts.add(traceAt, traceEnd);
          if (spanAt >= Math.max(bodyEnd, traceEnd)) cuts.add(spanAt, spanEnd);
        }
        raw.setBytesWithout(row, body, start, end, cuts);
        const hasTime = timeLow !== 0 || timeHigh !== 0;
        const hasObserved = observedLow !== 0 || observedHigh !== 0;
        const low = hasTime ? timeLow : hasObserved ? observedLow : came.low;
        const high = hasTime ? timeHigh : hasObserved ? observedHigh : came.high;
        time.set64(row, low, high);
        observedTime.set64(row, observedLow, observedHigh);
        const ofHour = hourOf(low, high, came.ms, target.retentionMs);
        hour.set32(row, ofHour);
        digest.setUuid(row, frame.digest, 0);
        digestIndex.set32(row, number);
        severity.set32(row, severityNumber);
        service.setBytes(row, origin.service, 0, origin.service.length);
        originId.set64(row, origin.idLow, origin.idHigh);
        rollUp.add(origin.who, 0, severityNumber, ofHour, low, high, 0, 0);
        buffer.endRow();
      });
    },
  };
}

const any = new Reader(empty);

/**
 * The text of a body: a string as it is, anything else as JSON. Absent and empty bodies have none.
 * @returns whether it is a string, byte for byte: nothing else need be kept of it then.
 */
function setBody(buffer: Rows, column: Column, row: number, bytes: Uint8Array, start: number, end: number): boolean {
  let field = 0;
  let fields = 0;
  let from = 0;
  let to = 0;
  any.over(bytes, start, end);
  while (any.next()) {
    field = any.field;
    fields++;
    from = any.valueStart;
    to = any.valueEnd;
  }
  if (field === 0) return false;
  if (field === 1) return column.setText(row, bytes, from, to) && fields === 1;
  const at = buffer.used;
  writeAny(buffer, bytes, start, end, 0);
  column.setBytes(row, buffer.scratch, at, buffer.used);
  return false;
}
