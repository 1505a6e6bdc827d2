import { Reader, wireBytes } from '../../otlp/index.ts';
import { keyValue } from './labels.ts';
import type { Exemplar } from './samples.ts';

/** Characters of an exemplar's labels together, past which its attributes are left out. Source: OpenMetrics 1.0, "Exemplars". */
const runesMax = 128;

/** One Exemplar message; undefined where it has no value. */
export function readExemplar(bytes: Uint8Array, start: number, end: number): Exemplar | undefined {
  const reader = new Reader(bytes, start, end);
  let timeMs = 0;
  let value: number | undefined;
  let traceId = '';
  let spanId = '';
  const attributes: [string, string][] = [];
  while (reader.next()) {
    if (reader.field === 2) timeMs = Number(reader.fixed64() / 1_000_000n);
    else if (reader.field === 3) value = reader.double();
    else if (reader.field === 6) value = Number(reader.sfixed64());
    else if (reader.field === 4 && reader.wireType === wireBytes) spanId = hex(reader.bytes());
    else if (reader.field === 5 && reader.wireType === wireBytes) traceId = hex(reader.bytes());
    else if (reader.field === 7 && reader.wireType === wireBytes) {
      attributes.push(keyValue(bytes, reader.valueStart, reader.valueEnd));
    }
  }
  if (value === undefined) return undefined;
  const labels: [string, string][] = [];
  if (traceId !== '') labels.push(['trace_id', traceId]);
  if (spanId !== '') labels.push(['span_id', spanId]);
  // The trace context goes before an attribute of that name.
  const others = attributes.filter(([key]) => !labels.some(([name]) => name === key));
  const runes = [...labels, ...others].reduce((sum, [name, text]) => sum + [...name].length + [...text].length, 0);
  if (runes <= runesMax) labels.push(...others.filter(([key, text]) => key !== '' && text !== ''));
  return { labels: labels.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)), value, timeMs };
}

function hex(id: Uint8Array): string {
  const text = Buffer.from(id.buffer, id.byteOffset, id.length).toString('hex');
  return /^0*$/.test(text) ? '' : text;
}
