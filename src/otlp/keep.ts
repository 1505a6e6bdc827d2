import type { Signal } from '../base/index.ts';
import { Reader, Writer, wireBytes } from './wire.ts';

/** Field numbers of what repeats on the way down to a record; of a metric, the points of any type. */
const path = {
  traces: [[1], [2], [2]],
  logs: [[1], [2], [2]],
  // Metric.gauge, sum, histogram, exponential_histogram, summary; then data_points.
  metrics: [[1], [2], [2], [5, 7, 9, 10, 11], [1]],
} as const satisfies Record<Signal, readonly (readonly number[])[]>;

/**
 * An export request with some of its records only, and with all that stands around them.
 * @param keep Indexes of spans, log records or data points, in wire order.
 * @throws Fault `malformed`.
 */
export function keepRecords(signal: Signal, bytes: Uint8Array, keep: ReadonlySet<number>): Uint8Array {
  let index = 0;
  return kept(bytes, 0);

  function kept(message: Uint8Array, level: number): Uint8Array {
    const fields: readonly number[] = path[signal][level] ?? [];
    const isLast = level === path[signal].length - 1;
    const reader = new Reader(message);
    const parts: Uint8Array[] = [];
    while (reader.next()) {
      const whole = message.subarray(reader.tagStart, reader.valueEnd);
      if (!fields.includes(reader.field) || reader.wireType !== wireBytes) parts.push(whole);
      else if (isLast) {
        if (keep.has(index++)) parts.push(whole);
      } else {
        const before = index;
        const inner = kept(reader.bytes(), level + 1);
        // What held no record to begin with stays as it was.
        if (index > before && !anyIn(before, index)) continue;
        const head = new Writer(16);
        head.tag(reader.field, wireBytes);
        head.varint(inner.byteLength);
        parts.push(head.finish(), inner);
      }
    }
    return Buffer.concat(parts);
  }

  function anyIn(from: number, to: number): boolean {
    for (let at = from; at < to; at++) if (keep.has(at)) return true;
    return false;
  }
}
