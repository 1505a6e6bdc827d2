import { expect, it } from 'vitest';
import { decodeOtlp, encodeOtlp } from '../../test/kit/otlp.ts';
import { keepRecords } from './keep.ts';

const resource = (name: string) => ({ attributes: [{ key: 'service.name', value: { stringValue: name } }] });
const spans = (...names: string[]) => names.map((name) => ({ name, spanId: Buffer.from('0102030405060708', 'hex') }));
const traces = encodeOtlp('traces', {
  resourceSpans: [
    { resource: resource('a'), scopeSpans: [{ scope: { name: 's' }, spans: spans('0', '1') }, { spans: spans('2') }] },
    { resource: resource('b'), schemaUrl: 'https://b', scopeSpans: [{ spans: spans('3', '4') }] },
  ],
});
const point = (value: number) => ({ asDouble: value });
const metrics = encodeOtlp('metrics', {
  resourceMetrics: [
    {
      resource: resource('a'),
      scopeMetrics: [
        {
          metrics: [
            { name: 'g', gauge: { dataPoints: [point(0), point(1)] } },
            {
              name: 's',
              unit: 's',
              sum: { isMonotonic: true, aggregationTemporality: 2, dataPoints: [point(2), point(3)] },
            },
            { name: 'h', histogram: { dataPoints: [{ count: '4' }] } },
          ],
        },
      ],
    },
  ],
});

it.each([
  ['0 1 2 3 4', 'a/s:0,1 a/:2 b/:3,4'],
  ['1', 'a/s:1'],
  ['2 4', 'a/:2 b/:4'],
  ['', ''],
  ['99', ''],
])('of spans, keeps %s', (keep, expected) => {
  const { resourceSpans } = decodeOtlp('traces', keepRecords('traces', traces, numbers(keep))) as {
    resourceSpans: {
      resource: { attributes: { value: { stringValue: string } }[] };
      scopeSpans: { scope: { name: string } | null; spans: { name: string }[] }[];
    }[];
  };
  const shown = resourceSpans.flatMap((group) =>
    group.scopeSpans.map(
      ({ scope, spans: kept }) =>
        `${group.resource.attributes[0]!.value.stringValue}/${scope?.name ?? ''}:${kept.map(({ name }) => name).join()}`,
    ),
  );
  expect(shown.join(' ')).toBe(expected);
});

it.each([
  ['0 1 2 3 4', 'g:0,1 s:2,3 h:4'],
  ['1 2', 'g:1 s:2'],
  ['4', 'h:4'],
])('of data points, keeps %s', (keep, expected) => {
  const { resourceMetrics } = decodeOtlp('metrics', keepRecords('metrics', metrics, numbers(keep))) as {
    resourceMetrics: {
      scopeMetrics: { metrics: Record<string, { dataPoints: { asDouble?: number; count?: string }[] }>[] }[];
    }[];
  };
  const shown = resourceMetrics[0]!.scopeMetrics[0]!.metrics.map((metric) => {
    const points = (metric['gauge'] ?? metric['sum'] ?? metric['histogram'])!.dataPoints;
    return `${metric['name']}:${points.map((each) => each.asDouble ?? each.count).join()}`;
  });
  expect(shown.join(' ')).toBe(expected);
});

it('keeps what stands around, and all bytes where all records are kept', () => {
  const all = new Set([0, 1, 2, 3, 4]);
  expect(Buffer.from(keepRecords('traces', traces, all))).toEqual(Buffer.from(traces));
  expect(Buffer.from(keepRecords('metrics', metrics, all))).toEqual(Buffer.from(metrics));
});

function numbers(text: string): Set<number> {
  return new Set(text.split(' ').filter(Boolean).map(Number));
}
