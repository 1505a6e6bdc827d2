import { Fault, type Frame } from '../../base/index.ts';
import { eachRecord, plainValue, Reader } from '../../otlp/index.ts';
import type { Refusal } from '../contract.ts';
import { Attributes, recordHeads } from './attributes.ts';
import { eventInBody, type KubernetesEvent } from './events.ts';
import { JsonBuffer } from './json.ts';
import { KeyTable } from './keys.ts';
import { futureMaxMs, tokenCharsMax } from './limits.ts';
import { type Origin, Origins } from './origin.ts';
import { dateNanosMax, dayOf, indexName, isoNanos } from './schema.ts';

// Export requests into `_bulk` bodies, bytes to bytes: no object for a record. Sources: OTLP 1.11.0, logs.proto; Elasticsearch
// "Bulk API". Each record is one `create` with an id of its own, made of the request's digest, so that what comes again is
// refused with 409, which is then good news.

/** One request's body, and which records its items are. */
export interface Bulk {
  readonly body: JsonBuffer;
  /** Of each item: index of its frame in the batch, index of its record in the frame, where it begins in `body`. */
  readonly frames: number[];
  readonly records: number[];
  readonly starts: number[];
}

export interface Place {
  readonly frame: number;
  readonly record: number;
}

export interface BulkEncoder {
  /**
   * Encodes records from `place` on, until `bytesMax` is reached or all are there.
   * @param done    Of a frame, by its index: which records are stored already and to be left out.
   * @param refused Frames that cannot be read are added.
   * @returns Where to go on; undefined where all is encoded.
   */
  encode(
    frames: readonly Frame[],
    place: Place,
    bytesMax: number,
    bulk: Bulk,
    done: (frame: number) => Uint8Array | undefined,
    refused: Refusal[],
  ): Place | undefined;
}

export function newBulk(): Bulk {
  return { body: new JsonBuffer(), frames: [], records: [], starts: [] };
}

export function clearBulk({ body, frames, records, starts }: Bulk): void {
  body.used = 0;
  frames.length = 0;
  records.length = 0;
  starts.length = 0;
}

const quote = 0x22;

/**
 * @param retentionMs Records older than this before their receipt are filed under their receipt, so that they are not deleted
 *   as they come; and so are those that come from the future.
 */
export function bulkEncoder(retentionMs: number): BulkEncoder {
  const keys = new KeyTable();
  const origins = new Origins(keys);
  const attributes = new Attributes(keys);
  const log = new Reader(new Uint8Array(0));
  const heads = new Map<number, Buffer>();
  const seconds = new SecondText();
  const id = new Uint8Array(19);

  /** `{"create":{"_index":"…","_id":"` */
  function headOf(day: number): Buffer {
    let head = heads.get(day);
    if (head === undefined) {
      if (heads.size > 1_000) heads.clear();
      head = Buffer.from(`{"create":{"_index":"${indexName(day)}","_id":"`);
      heads.set(day, head);
    }
    return head;
  }

  function writeRecord(
    out: JsonBuffer,
    frame: Frame,
    came: Received,
    origin: Origin,
    number: number,
    start: number,
    end: number,
  ): void {
    const { body } = frame;
    let timeLow = 0;
    let timeHigh = 0;
    let observedLow = 0;
    let observedHigh = 0;
    let severity = 0;
    let severityStart = 0;
    let severityEnd = 0;
    let bodyStart = -1;
    let bodyEnd = 0;
    let traceAt = -1;
    let spanAt = -1;
    let eventStart = 0;
    let eventEnd = 0;
    let dropped = 0;
    let flags = 0;
    attributes.begin();
    log.over(body, start, end);
    while (log.next()) {
      switch (log.field) {
        case 1:
          timeLow = log.fixed64Low();
          timeHigh = log.fixed64High();
          break;
        case 2:
          severity = log.int32();
          break;
        case 3:
          severityStart = log.valueStart;
          severityEnd = log.valueEnd;
          break;
        case 5:
          bodyStart = log.valueStart;
          bodyEnd = log.valueEnd;
          break;
        case 6:
          attributes.add(body, log.valueStart, log.valueEnd);
          break;
        case 7:
          dropped = log.uint32();
          break;
        case 8:
          flags = log.fixed32();
          break;
        case 9:
          traceAt = log.valueEnd - log.valueStart === 16 ? log.valueStart : -1;
          break;
        case 10:
          spanAt = log.valueEnd - log.valueStart === 8 ? log.valueStart : -1;
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
    const hasTime = timeLow !== 0 || timeHigh !== 0;
    const hasObserved = observedLow !== 0 || observedHigh !== 0;
    const low = hasTime ? timeLow : hasObserved ? observedLow : came.low;
    const high = hasTime ? timeHigh : hasObserved ? observedHigh : came.high;
    const timeMs = (high * 4294967296 + low) / 1e6;
    const filedMs = timeMs > came.ms + futureMaxMs || timeMs < came.ms - retentionMs ? came.ms : timeMs;

    out.raw(headOf(dayOf(filedMs)));
    setId(id, Math.floor(filedMs / 1000), frame.digest, number);
    writeBase64(out, id);
    out.ascii('"}}\n{"@timestamp":"');
    if (high < 0x80000000) seconds.write(out, low, high);
    else {
      // Later than Elasticsearch's dates go: found at their end, and told as it is.
      out.ascii(isoNanos(dateNanosMax));
      out.ascii('","time":"');
      out.ascii(isoNanos((BigInt(high) << 32n) | BigInt(low)));
    }
    out.ascii('","request":"');
    out.raw(came.digestHex);
    out.ascii('","record":');
    out.ascii(String(number));
    out.ascii(',"severity_number":');
    out.ascii(String(severity));
    if (hasObserved) {
      out.ascii(',"observed_timestamp":"');
      if (observedHigh < 0x80000000) seconds.write(out, observedLow, observedHigh);
      else out.ascii(isoNanos((BigInt(observedHigh) << 32n) | BigInt(observedLow)));
      out.byte(quote);
    }
    if (severityEnd > severityStart) {
      out.ascii(',"severity_text":');
      out.string(body, severityStart, severityEnd);
    }
    if (eventEnd > eventStart) {
      out.ascii(',"event_name":');
      out.string(body, eventStart, eventEnd);
    }
    if (traceAt >= 0 && !isZero(body, traceAt, 16)) {
      out.ascii(',"trace_id":"');
      out.hex(body, traceAt, traceAt + 16);
      out.byte(quote);
    }
    if (spanAt >= 0 && !isZero(body, spanAt, 8)) {
      out.ascii(',"span_id":"');
      out.hex(body, spanAt, spanAt + 8);
      out.byte(quote);
    }
    if (dropped > 0) out.ascii(`,"dropped_attributes_count":${dropped}`);
    if (flags !== 0) out.ascii(`,"trace_flags":${flags}`);
    if (bodyStart >= 0) writeBody(out, body, bodyStart, bodyEnd);
    if (attributes.size > 0) {
      out.ascii(',"attributes":');
      attributes.writeObject(out, body);
      attributes.writeTerms(out, body, recordHeads);
      if (attributes.hasEventKey) {
        const event = eventOf(attributes, origin, body, bodyStart, bodyEnd, severityStart, severityEnd);
        if (event !== undefined) out.ascii(`,"k8s_event":${asciiJson(event)}`);
      }
    }
    out.raw(origin.tail);
  }

  return {
    encode(frames, place, bytesMax, bulk, done, refused) {
      const out = bulk.body;
      let next: Place | undefined;
      for (let index = place.frame; index < frames.length && next === undefined; index++) {
        const frame = frames[index]!;
        const came = receivedOf(frame);
        const stored = done(index);
        const first = index === place.frame ? place.record : 0;
        let number = -1;
        try {
          eachRecord(frame.body, origins, (origin, start, end) => {
            number++;
            if (number < first || next !== undefined || stored?.[number] === 1) return;
            if (out.used >= bytesMax) {
              next = { frame: index, record: number };
              return;
            }
            const at = out.used;
            bulk.starts.push(at);
            bulk.frames.push(index);
            bulk.records.push(number);
            writeRecord(out, frame, came, origin, number, start, end);
          });
        } catch (thrown) {
          if (!(thrown instanceof Fault)) throw thrown;
          // Not a request at all, though it passed the door: a bug. It must not hold back all that follow.
          while (bulk.frames.at(-1) === index) {
            bulk.frames.pop();
            bulk.records.pop();
            out.used = bulk.starts.pop()!;
          }
          refused.push({ frame: index, record: undefined, count: frame.records, reason: thrown.message });
        }
      }
      return next;
    },
  };
}

/** When a frame was received, and its name, in the forms that its records need. */
interface Received {
  readonly ms: number;
  readonly low: number;
  readonly high: number;
  readonly digestHex: Buffer;
}

function receivedOf(frame: Frame): Received {
  const nanos = BigInt.asUintN(64, frame.receivedUnixNano);
  return {
    ms: Number(nanos / 1_000_000n),
    low: Number(nanos & 0xffffffffn),
    high: Number(nanos >> 32n),
    digestHex: Buffer.from(Buffer.from(frame.digest).toString('hex')),
  };
}

/**
 * Seconds (4 bytes), the first 12 bytes of the digest, the record's index (3 bytes). The time comes first since Elasticsearch
 * looks up each id before it creates it, and neighbours in time are then neighbours there.
 */
function setId(id: Uint8Array, seconds: number, digest: Uint8Array, record: number): void {
  id[0] = seconds >>> 24;
  id[1] = seconds >>> 16;
  id[2] = seconds >>> 8;
  id[3] = seconds;
  for (let index = 0; index < 12; index++) id[4 + index] = digest[index]!;
  id[16] = record >>> 16;
  id[17] = record >>> 8;
  id[18] = record;
}

const base64Url = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');

/** 19 bytes as 26 characters of base64url. */
function writeBase64(out: JsonBuffer, id: Uint8Array): void {
  out.reserve(26);
  const { bytes } = out;
  let { used } = out;
  for (let at = 0; at < 18; at += 3) {
    const bits = (id[at]! << 16) | (id[at + 1]! << 8) | id[at + 2]!;
    bytes[used++] = base64Url[bits >>> 18]!;
    bytes[used++] = base64Url[(bits >>> 12) & 63]!;
    bytes[used++] = base64Url[(bits >>> 6) & 63]!;
    bytes[used++] = base64Url[bits & 63]!;
  }
  bytes[used++] = base64Url[id[18]! >>> 2]!;
  bytes[used++] = base64Url[(id[18]! & 3) << 4]!;
  out.used = used;
}

/** Times as text; records of one second share most of it. */
class SecondText {
  #second = -1;
  #text = '';

  /** `2026-01-31T12:00:00.000000001Z`, of a time below 2^63. */
  write(out: JsonBuffer, low: number, high: number): void {
    let second = Math.floor((high * 4294967296 + low) / 1e9);
    // The quotient is at most one off; the remainder modulo 2^32 shows it.
    let nanos = (low - (Math.imul(second, 1_000_000_000) >>> 0)) >>> 0;
    if (nanos >= 1_000_000_000) {
      const before = nanos > 0x80000000;
      second += before ? -1 : 1;
      nanos = (nanos + (before ? 1_000_000_000 : -1_000_000_000)) >>> 0;
    }
    if (second !== this.#second) {
      this.#second = second;
      this.#text = `${new Date(second * 1000).toISOString().slice(0, 19)}.`;
    }
    out.ascii(this.#text);
    out.reserve(10);
    const { bytes, used } = out;
    for (let at = used + 8; at >= used; at--) {
      bytes[at] = 0x30 + (nanos % 10);
      nanos = (nanos / 10) | 0;
    }
    bytes[used + 9] = 0x5a;
    out.used = used + 10;
  }
}

/**
 * Bytes that end a token for Lucene's standard tokenizer whatever stands around them: ASCII but letters, digits, `_` and what
 * joins them (`.`, `'`, `,`, `;`, `:`); and the first bytes of ideographs, which are tokens each. Source: UAX #29, "Word Boundaries".
 */
const breaks = new Uint8Array(256);
for (let byte = 0; byte < 0x80; byte++) breaks[byte] = /[A-Za-z0-9_.',;:]/.test(String.fromCharCode(byte)) ? 0 : 1;
for (let byte = 0xe4; byte <= 0xe9; byte++) breaks[byte] = 1;

/** Whether a text may have a token that is longer than the tokenizer takes; it is then cut, and a part across the cut not found. */
export function hasLongWord(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start <= tokenCharsMax) return false;
  for (let at = start, from = start; at < end; at++) {
    if (breaks[bytes[at]!] === 1) from = at + 1;
    else if (at - from >= tokenCharsMax) return true;
  }
  return false;
}

/** The body's text: a string as it is, anything else as JSON, and then so marked. Absent and empty ones have none. */
function writeBody(out: JsonBuffer, bytes: Uint8Array, start: number, end: number): void {
  let field = 0;
  let from = 0;
  let to = 0;
  const any = new Reader(bytes, start, end);
  while (any.next()) {
    field = any.field;
    from = any.valueStart;
    to = any.valueEnd;
  }
  if (field === 1) {
    out.ascii(',"body":');
    out.string(bytes, from, to);
    if (hasLongWord(bytes, from, to)) out.ascii(',"flags":["long_words"]');
    return;
  }
  const value = plainValue(bytes, start, end);
  if (value === null) return;
  const text = Buffer.from(JSON.stringify(value));
  out.ascii(',"body_json":true,"body":');
  out.string(text, 0, text.length);
  if (hasLongWord(text, 0, text.length)) out.ascii(',"flags":["long_words"]');
}

function eventOf(
  attributes: Attributes,
  origin: Origin,
  bytes: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  severityStart: number,
  severityEnd: number,
): KubernetesEvent | undefined {
  const reason = attributes.roleText('reason', bytes);
  if (reason === undefined) {
    if (attributes.roleText('objects', bytes) !== 'events' || bodyStart < 0) return undefined;
    return eventInBody(bytes, bodyStart, bodyEnd);
  }
  const { object } = origin;
  const severityText = Buffer.from(bytes.buffer, bytes.byteOffset + severityStart, severityEnd - severityStart);
  return {
    kind: attributes.roleText('kind', bytes) ?? object.kind,
    namespace: attributes.roleText('namespace', bytes) ?? object.namespace,
    name: attributes.roleText('name', bytes) ?? object.name,
    uid: attributes.roleText('uid', bytes) ?? object.uid,
    reason,
    type: attributes.roleText('type', bytes) ?? (severityText.toString('utf8') || undefined),
  };
}

/** JSON in ASCII, whatever is in it. */
function asciiJson(value: object): string {
  return JSON.stringify(value).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function isZero(bytes: Uint8Array, at: number, size: number): boolean {
  for (let index = 0; index < size; index++) if (bytes[at + index] !== 0) return false;
  return true;
}
