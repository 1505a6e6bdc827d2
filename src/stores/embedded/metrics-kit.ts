import { Writer } from '../../otlp/index.ts';
import type { LabelMatcher, Series } from '../contract.ts';
import type { EmbeddedStore } from './index.ts';
import { type Attributes, keyValues, never, noon } from './kit.ts';

// Metrics as OTLP has them, and series as one line each.

export const resource = {
  'service.name': 'cart',
  'service.namespace': 'shop',
  'service.instance.id': 'i-1',
  'k8s.pod.name': 'cart-1',
  'host.name': 'not promoted',
};
const noonMs = Number(noon / 1_000_000n);

export type Fill = (writer: Writer) => void;

/** A Metric message. `field` of the oneof: 5 gauge, 7 sum, 9 histogram, 10 exponential histogram, 11 summary. */
export function metric(
  name: string,
  unit: string,
  field: number,
  points: readonly Fill[],
  extra: Fill = () => undefined,
): Uint8Array {
  const writer = new Writer();
  writer.string(1, name);
  writer.string(2, `${name} described`);
  writer.string(3, unit);
  const data = writer.begin(field);
  for (const fill of points) {
    const at = writer.begin(1);
    fill(writer);
    writer.end(at);
  }
  extra(writer);
  writer.end(data);
  return writer.finish();
}

export const cumulative: Fill = (writer) => writer.int32(2, 2);
export const monotonic: Fill = (writer) => {
  writer.int32(2, 2);
  writer.bool(3, true);
};

export function numberPoint(value: number | bigint, attributes: Attributes = {}, seconds = 0, flags = 0): Fill {
  return (writer) => {
    keyValues(writer, 7, attributes);
    writer.fixed64(3, noon + BigInt(seconds) * 1_000_000_000n);
    if (typeof value === 'bigint') writer.fixed64(6, BigInt.asUintN(64, value));
    else writer.double(4, value);
    if (flags !== 0) writer.uint32(8, flags);
  };
}

function packed(values: readonly number[], double: boolean): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) {
    if (double) view.setFloat64(index * 8, value, true);
    else view.setBigUint64(index * 8, BigInt(value), true);
  }
  return bytes;
}

export function histogram(
  counts: readonly number[],
  bounds: readonly number[],
  sum: number | undefined,
  flags = 0,
  seconds = 0,
): Fill {
  return (writer) => {
    keyValues(writer, 9, { route: '/' });
    writer.fixed64(3, noon + BigInt(seconds) * 1_000_000_000n);
    writer.fixed64(4, BigInt(counts.reduce((total, each) => total + each, 0)));
    if (sum !== undefined) writer.double(5, sum);
    writer.bytes(6, packed(counts, false));
    writer.bytes(7, packed(bounds, true));
    if (flags !== 0) writer.uint32(10, flags);
  };
}

export function exponential(scale: number, offset: number, counts: readonly number[], zero: number, seconds = 0): Fill {
  return (writer) => {
    writer.fixed64(3, noon + BigInt(seconds) * 1_000_000_000n);
    writer.fixed64(4, BigInt(counts.reduce((total, each) => total + each, zero)));
    writer.double(5, 12.5);
    writer.sint32(6, scale);
    writer.fixed64(7, BigInt(zero));
    const buckets = writer.begin(8);
    writer.sint32(1, offset);
    writer.bytes(2, Uint8Array.from(counts));
    writer.end(buckets);
  };
}

/** Labels that all of them have. */
export const base = {
  service_name: 'cart',
  service_namespace: 'shop',
  service_instance_id: 'i-1',
  k8s_pod_name: 'cart-1',
  job: 'shop/cart',
  instance: 'i-1',
};

export async function select(
  store: EmbeddedStore,
  matchers: readonly LabelMatcher[],
  samplesMax = 1000,
  options: { fromSeconds?: number; toSeconds?: number; deltasFrom?: 'stored' | 'range' } = {},
): Promise<readonly Series[]> {
  const { fromSeconds = -60, toSeconds = 60, deltasFrom = 'stored' } = options;
  const [startMs, endMs] = [noonMs + fromSeconds * 1000, noonMs + toSeconds * 1000];
  return store.readers.metrics!.select({ matchers, startMs, endMs, samplesMax, deltasFrom }, never);
}

/** Series as one line each, without the labels that all of them have. */
export function drawn(series: readonly Series[]): string[] {
  return series
    .map(({ labels, timestampsMs, values }) => {
      const { __name__, ...rest } = labels;
      const own = Object.entries(rest).filter(([name, value]) => (base as Record<string, string>)[name] !== value);
      const text = own.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name}="${value}"`);
      const samples = [...values].map(
        (value, index) => `${Object.is(value, -0) ? '-0' : value}@${(timestampsMs[index]! - noonMs) / 1000}`,
      );
      return `${__name__}{${text.join(',')}} ${samples.join(' ')}`;
    })
    .sort();
}

export const named = (op: LabelMatcher['op'], value: string): LabelMatcher => ({ name: '__name__', op, value });
