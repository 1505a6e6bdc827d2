import { type MetricKind, metricName, Reader, unitName, wireBytes, wireVarint } from '../../otlp/index.ts';
import { hashBytes, sameAttributes } from './bytes.ts';
import type { Naming } from './labels.ts';
import { type Shape, shapes } from './point.ts';
import type { Family } from './series.ts';

// What an OTLP metric says beside its points, and what Prometheus makes of it.

export interface Head {
  /** Its bytes: all fields but the data. */
  readonly head: Uint8Array;
  /** Of the data, in the Metric message. */
  readonly field: number;
  readonly delta: boolean;
  readonly monotonic: boolean;
  readonly shape: Shape;
}

/** Of the Metric that was scanned last: one for all, as it is asked for each metric of each request. */
export const headScan = { field: 0, dataStart: 0, dataEnd: 0, temporality: 0, monotonic: false, parts: [] as number[] };

/** Leaves in `headScan` what a Metric message says beside its points. @returns a hash of it. */
export function scanHead(body: Uint8Array, start: number, end: number): number {
  headScan.field = 0;
  headScan.temporality = 0;
  headScan.monotonic = false;
  headScan.parts.length = 0;
  let hashed = 0;
  const metric = new Reader(body, start, end);
  while (metric.next()) {
    const { field } = metric;
    if (field in shapes && metric.wireType === wireBytes) {
      headScan.field = field;
      headScan.dataStart = metric.valueStart;
      headScan.dataEnd = metric.valueEnd;
    } else if (field <= 3) {
      hashed = hashBytes(body, metric.tagStart, metric.valueEnd, hashed);
      headScan.parts.push(metric.tagStart, metric.valueEnd);
    }
  }
  if (headScan.field !== 0 && headScan.field !== 5) {
    // Beside the points: aggregation_temporality = 2, is_monotonic = 3.
    const data = new Reader(body, headScan.dataStart, headScan.dataEnd);
    while (data.next()) {
      if (data.field === 2 && data.wireType === wireVarint) headScan.temporality = data.int32();
      else if (data.field === 3 && data.wireType === wireVarint) headScan.monotonic = data.bool();
    }
  }
  return Math.imul(hashed ^ headScan.field, 0x01000193) ^ (headScan.temporality << 1) ^ (headScan.monotonic ? 1 : 0);
}

function headParts(body: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < headScan.parts.length; at += 2) {
    parts.push(body.subarray(headScan.parts[at]!, headScan.parts[at + 1]!));
  }
  return parts;
}

/** Whether the Metric that was scanned last is this one. */
export function isHead(metric: Head, body: Uint8Array): boolean {
  return (
    metric.field === headScan.field &&
    metric.delta === (headScan.temporality === 1) &&
    metric.monotonic === headScan.monotonic &&
    sameAttributes(metric.head, body, headScan.parts)
  );
}

/** The Metric that was scanned last, named as Prometheus names it; the name is '' where nothing is left of it. */
export function describeHead(
  body: Uint8Array,
  start: number,
  end: number,
  strategy: Naming['strategy'],
): Head & { readonly family: Omit<Family, 'helpId' | 'unitId'> } {
  const { field, temporality, monotonic } = headScan;
  let name = '';
  let help = '';
  let unit = '';
  const reader = new Reader(body, start, end);
  while (reader.next()) {
    if (reader.field === 1) name = reader.string();
    else if (reader.field === 2) help = reader.string();
    else if (reader.field === 3) unit = reader.string();
  }
  const shape = shapes[field]!;
  const kind: MetricKind =
    shape === 'exponential'
      ? 'exponentialHistogram'
      : shape !== 'number'
        ? shape
        : field === 5
          ? 'gauge'
          : monotonic
            ? 'monotonicSum'
            : 'sum';
  const type =
    kind === 'monotonicSum' ? 'counter' : shape === 'number' ? 'gauge' : shape === 'summary' ? 'summary' : 'histogram';
  const full = metricName(name, unit, kind, strategy);
  return {
    head: Buffer.concat(headParts(body)),
    field,
    delta: temporality === 1,
    monotonic,
    shape,
    family: { name: full, type, help, unit: unitName(unit), otlpUnit: unit },
  };
}
