import { Reader, Writer, wireBytes, writeTextArray } from '../../otlp/index.ts';

// Jaeger changes spans that do not end after they began: the end becomes one nanosecond after the start, and an attribute
// tells what it was. Here that is taken back, so that a span is what its sender sent.
// Source: jaeger internal/jptrace/sanitizer/negative_duration_santizer.go, internal/jptrace/warning.go.

const warningsKey = Buffer.from('@jaeger@warnings');
const negative = /^Negative duration detected, .*Original end timestamp: (\S+ \S+) \+0000 UTC, adjusted to: /;

/** Whether any span of an answer may have been changed. */
export function mayBeChanged(body: Uint8Array): boolean {
  return Buffer.from(body.buffer, body.byteOffset, body.length).includes(warningsKey);
}

/**
 * The span as it was sent; the very same bytes where Jaeger left it alone.
 * @param span Content of a Span.
 */
export function asSent(span: Uint8Array): Uint8Array {
  if (!mayBeChanged(span)) return span;
  const fields: Uint8Array[] = [];
  let end: bigint | undefined;
  const reader = new Reader(span);
  while (reader.next()) {
    const whole = span.subarray(reader.tagStart, reader.valueEnd);
    const mended = reader.field === 9 && reader.wireType === wireBytes ? withoutWarning(reader.bytes()) : undefined;
    if (mended === undefined) fields.push(whole);
    else {
      end = mended.endUnixNano;
      if (mended.attribute !== undefined) fields.push(attributeField(mended.attribute));
    }
  }
  if (end === undefined) return span;
  const writer = new Writer(span.length);
  let written = false;
  for (const field of fields) {
    if (isEnd(field)) {
      if (end !== 0n) writer.fixed64(8, end);
      written = true;
    } else writer.raw(field);
  }
  if (!written && end !== 0n) writer.fixed64(8, end);
  return writer.finish();
}

function isEnd(field: Uint8Array): boolean {
  const reader = new Reader(field);
  return reader.next() && reader.field === 8;
}

function attributeField(keyValue: Uint8Array): Uint8Array {
  const writer = new Writer(keyValue.length + 8);
  writer.bytes(9, keyValue);
  return writer.finish();
}

/** What the warning says, and the attribute with what else it warns of; undefined for any other attribute. */
function withoutWarning(keyValue: Uint8Array): { endUnixNano: bigint; attribute: Uint8Array | undefined } | undefined {
  const pair = new Reader(keyValue);
  let isWarnings = false;
  let texts: string[] = [];
  while (pair.next()) {
    if (pair.field === 1) isWarnings = warningsKey.equals(pair.bytes());
    else if (pair.field === 2) texts = stringsOf(pair.message());
  }
  if (!isWarnings) return undefined;
  const at = texts.findLastIndex((text) => negative.test(text));
  const endUnixNano = at < 0 ? undefined : goTime(negative.exec(texts[at]!)![1]!);
  if (endUnixNano === undefined) return undefined;
  const others = texts.toSpliced(at, 1);
  if (others.length === 0) return { endUnixNano, attribute: undefined };
  const writer = new Writer();
  writer.bytes(1, warningsKey);
  const any = writer.begin(2);
  writeTextArray(writer, others);
  writer.end(any);
  return { endUnixNano, attribute: writer.finish() };
}

/** The strings of an AnyValue that is an array. */
function stringsOf(any: Reader): string[] {
  const texts: string[] = [];
  while (any.next()) {
    if (any.field !== 5 || any.wireType !== wireBytes) continue;
    const array = any.message();
    while (array.next()) {
      const element = array.message();
      while (element.next()) if (element.field === 1 && element.wireType === wireBytes) texts.push(element.string());
    }
  }
  return texts;
}

/** `2026-11-25 03:25:00.000000001`, as Go prints a time in UTC; nanoseconds without the zeros at their end. */
function goTime(text: string): bigint | undefined {
  const parts = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?$/.exec(text);
  if (parts === null) return undefined;
  const ms = Date.parse(`${parts[1]}T${parts[2]}Z`);
  return Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000_000n + BigInt((parts[3] ?? '').padEnd(9, '0'));
}
