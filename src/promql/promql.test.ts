import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryReaders } from '../../test/kit/memory-readers.ts';
import { runs } from '../../test/kit/runs.ts';
import { Fault } from '../base/index.ts';
import { evaluateInstant, evaluateRange } from './evaluate.ts';
import { formatValue } from './format.ts';
import { operatorRows, operatorSeries } from './operators.fixture.ts';
import { parse } from './parse.ts';
import type { Series } from './series.ts';

// Series in the notation of Prometheus' own tests: `m{a="b"} 0+10x3 _ stale 5` is 0 10 20 30, nothing, the staleness
// marker, 5; one sample each `every` seconds from 0.
const staleNaN = new Float64Array(new BigUint64Array([0x7ff0000000000002n]).buffer)[0]!;

function load(everySeconds: number, ...lines: string[]) {
  const readers = memoryReaders();
  const series = lines.map((line): Series => {
    const [, name, inside = '', samples = ''] = /^(\w+)(?:\{(.*?)\})?\s+(.*)$/.exec(line)!;
    const labels: Record<string, string> = { __name__: name! };
    for (const [, label, value] of inside.matchAll(/(\w+)="([^"]*)"/g)) labels[label!] = value!;
    const timestamps: number[] = [];
    const bits: bigint[] = [];
    let at = 0;
    const add = (value: number, isStale = false) => {
      timestamps.push(at * everySeconds * 1000);
      bits.push(isStale ? 0x7ff0000000000002n : new BigUint64Array(new Float64Array([value]).buffer)[0]!);
      at++;
    };
    for (const part of samples.trim().split(/\s+/)) {
      const run = /^(-?[\d.]+)([+-][\d.]+)x(\d+)$/.exec(part);
      if (run !== null) for (let step = 0; step <= Number(run[3]); step++) add(Number(run[1]) + step * Number(run[2]));
      else if (part === '_') at++;
      else if (part === 'stale') add(0, true);
      else add(Number(part.replace('Inf', 'Infinity')));
    }
    return {
      labels,
      timestampsMs: Float64Array.from(timestamps),
      values: new Float64Array(new BigUint64Array(bits).buffer),
    };
  });
  readers.addSeries({ name: 'm', type: 'unknown', unit: '', description: '' }, series);
  return {
    reader: readers.metrics,
    samplesMax: 1_000_000,
    cancel: new AbortController().signal,
    breathe: () => undefined,
  };
}

type Loaded = ReturnType<typeof load>;

/** `{a="b"} 5` for each series of an instant answer. */
async function at(seconds: number, query: string, loaded: Loaded): Promise<string[]> {
  const { series } = await evaluateInstant(parse(query), seconds * 1000, loaded);
  return series.map(({ labels, values }) => `${drawn(labels)} ${[...values].map(formatValue).join(' ')}`);
}

/** `{a="b"} 1 _ 3` for each series of a range answer, `_` where a step has no point. */
async function over(start: number, end: number, step: number, query: string, loaded: Loaded): Promise<string[]> {
  const steps = { startMs: start * 1000, endMs: end * 1000, stepMs: step * 1000 };
  const series = await evaluateRange(parse(query), steps, loaded);
  return series.map(({ labels, timestampsMs, values: list }) => {
    const found = new Map([...timestampsMs].map((ms, index) => [ms, list[index]!]));
    const values: string[] = [];
    for (let ms = steps.startMs; ms <= steps.endMs; ms += steps.stepMs) {
      const value = found.get(ms);
      values.push(value === undefined ? '_' : formatValue(value));
    }
    return `${drawn(labels)} ${values.join(' ')}`;
  });
}

function drawn(labels: Readonly<Record<string, string>>): string {
  return `{${Object.entries(labels)
    .sort()
    .map(([name, value]) => `${name}="${value}"`)
    .join(',')}}`;
}

describe('selectors', () => {
  const requests = load(60, 'm{job="a",zone="x"} 1 2 3', 'm{job="b"} 10 20 30', 'other{job="a"} 7');

  it.each([
    { query: 'm', found: ['{__name__="m",job="a",zone="x"} 3', '{__name__="m",job="b"} 30'] },
    { query: 'm{job="a"}', found: ['{__name__="m",job="a",zone="x"} 3'] },
    { query: "m{job!='a'}", found: ['{__name__="m",job="b"} 30'] },
    { query: 'm{job=~"a|b",zone!=""}', found: ['{__name__="m",job="a",zone="x"} 3'] },
    { query: 'm{job!~`a.*`,}', found: ['{__name__="m",job="b"} 30'] },
    { query: 'm{zone=""}', found: ['{__name__="m",job="b"} 30'] },
    { query: 'm{job=~"."}', found: ['{__name__="m",job="a",zone="x"} 3', '{__name__="m",job="b"} 30'] },
    { query: 'm{job=~"x.*"}', found: [] },
    { query: '{__name__="other"}', found: ['{__name__="other",job="a"} 7'] },
    { query: '{"other", "job"="a"}', found: ['{__name__="other",job="a"} 7'] },
    { query: '(m{job="b"}) # why', found: ['{__name__="m",job="b"} 30'] },
    { query: 'm{job="b"}[1m]', found: ['{__name__="m",job="b"} 30'] },
    { query: 'm{job="b"}[61]', found: ['{__name__="m",job="b"} 20 30'] },
  ])('$query', async ({ query, found }) => {
    expect(await at(120, query, requests)).toEqual(found);
  });

  it.each([
    { seconds: -1, found: [] },
    { seconds: 0, found: ['{__name__="m"} 1'] },
    { seconds: 299, found: ['{__name__="m"} 1'] },
    { seconds: 300, found: [] }, // the window is open at its left, as in Prometheus 3
  ])('looks back 5 minutes: at $seconds s', async ({ seconds, found }) => {
    expect(await at(seconds, 'm', load(60, 'm 1'))).toEqual(found);
  });

  it('ends a series at a staleness marker, but not at NaN', async () => {
    expect(await over(0, 60, 10, 'm', load(10, 'm 0 NaN stale 3'))).toEqual(['{__name__="m"} 0 NaN _ 3 3 3 3']);
    expect(Number.isNaN(staleNaN)).toBe(true);
  });

  it('leaves staleness markers out of a range', async () => {
    expect(await at(30, 'm[1m]', load(10, 'm 0 1 stale 3'))).toEqual(['{__name__="m"} 0 1 3']);
  });
});

describe('operators', () => {
  const given = load(60, ...operatorSeries);

  it.each(operatorRows)('$query', async ({ query, found }) => {
    expect(await at(120, query, given)).toEqual(found);
  });

  it.each(['use / on (node) size', 'size / on (node) group_left () use', 'label_join(use, "pod", "", "none") + 1'])(
    'refuses what is not unique: %s',
    async (query) => {
      await expect(
        at(120, query, load(60, 'use{pod="a",node="x"} 1 1 1', 'use{pod="b",node="x"} 4 4 4', 'size{node="x"} 8 8 8')),
      ).rejects.toThrow(expect.objectContaining({ code: 'unprocessable' }));
    },
  );

  it('meets step by step', async () => {
    const gaps = load(10, 'm 1 stale 3', 'n 5 6 stale');
    expect(await over(0, 20, 10, 'm + n', gaps)).toEqual(['{} 6 _ _']);
    expect(await over(0, 20, 10, 'm or n', gaps)).toEqual(['{__name__="m"} 1 _ 3', '{__name__="n"} _ 6 _']);
  });

  it.each([
    '1 == 1',
    'm + bool n',
    'm and 1',
    'm + on (a) group_left (a) n',
    'm and on (a) group_left () n',
    'rate(m[5m]) + m[5m]',
    'label_join(m, "a")',
    'sum(1)',
  ])('is no PromQL: %s', (query) => {
    expect(() => parse(query)).toThrow(expect.objectContaining({ code: 'malformed', parameter: 'query' }));
  });
});

// Worked by hand from the definition: increase over the sampled interval, times
// (sampled + to start + to end) / sampled, divided by the seconds of the range.
/** The same, but only differences between values mean something, as where deltas are summed up. */
function relativeOnly(loaded: Loaded): Loaded {
  const select: Loaded['reader']['select'] = async (...asked) => {
    const found = await loaded.reader.select(...asked);
    return asked[0].deltasFrom === 'stored' ? found : found.map((series) => ({ ...series, relative: true }));
  };
  return { ...loaded, reader: { ...loaded.reader, select } };
}

describe('rate', () => {
  it.each([
    // Samples each 60 s up to the window's end: 4 of them in (60, 300]; sampled 180 s, 60 s to the start (< 66): 40/240.
    { name: 'steady', every: 60, series: 'm 0+10x5', seconds: 300, range: '4m', rate: 10 / 60 },
    // (100, 340]: samples 120…300; 20 s to the start, 40 s to the end, both near enough.
    {
      name: 'edges within a distance',
      every: 60,
      series: 'm 0+10x5',
      seconds: 340,
      range: '4m',
      rate: (30 * (180 + 20 + 40)) / 180 / 240,
    },
    // (400-600, 400]: samples 0…300; zero at the first sample, so nothing before it; 100 s ≥ 66 s to the end: 30 s.
    {
      name: 'far from the end, zero at the start',
      every: 60,
      series: 'm 0+10x5',
      seconds: 400,
      range: '10m',
      rate: (50 * (300 + 0 + 30)) / 300 / 600,
    },
    // As before, but 100 at the first sample: half a distance to the start.
    {
      name: 'far from both',
      every: 60,
      series: 'm 100+10x5',
      seconds: 400,
      range: '10m',
      rate: (50 * (300 + 30 + 30)) / 300 / 600,
    },
    // First is 2 and the slope 10 a minute: zero was 12 s before, nearer than half a distance.
    {
      name: 'not below zero',
      every: 60,
      series: 'm 2+10x5',
      seconds: 300,
      range: '10m',
      rate: (50 * (300 + 12 + 0)) / 300 / 600,
    },
    // 0 10 20, reset, 5 15: 10+10+5+10.
    {
      name: 'over a reset',
      every: 60,
      series: 'm 0 10 20 5 15',
      seconds: 240,
      range: '5m',
      rate: (35 * (240 + 0 + 0)) / 240 / 300,
    },
    {
      name: 'over two resets',
      every: 60,
      series: 'm 4 2 4 2',
      seconds: 180,
      range: '3m1s',
      rate: (6 * (180 + 1 + 0)) / 180 / 181,
    },
    { name: 'flat', every: 60, series: 'm 5 5 5', seconds: 120, range: '5m', rate: 0 },
    {
      name: 'falling into the window: a reset before it does not count',
      every: 60,
      series: 'm 90 0 6',
      seconds: 120,
      range: '2m',
      rate: (6 * (60 + 0 + 0)) / 60 / 120,
    },
    {
      name: 'a stale marker between',
      every: 60,
      series: 'm 0 10 stale 30',
      seconds: 180,
      range: '4m',
      rate: (30 * (180 + 0 + 0)) / 180 / 240,
    },
  ])('$name', async ({ every, series, seconds, range, rate }) => {
    const [found = ''] = await at(seconds, `rate(m[${range}])`, load(every, series));
    expect(found.startsWith('{} ')).toBe(true);
    expect(Number(found.slice(3))).toBeCloseTo(rate, 12);
  });
  it('of a counter that does not begin where it reads zero reaches to the edge of the window', async () => {
    const loaded = load(60, 'm 0+10x3');
    expect(await at(180, 'rate(m[4m])', loaded)).toEqual([`{} ${formatValue((30 * (180 + 0 + 0)) / 180 / 240)}`]);
    const relative = relativeOnly(loaded);
    expect(await at(180, 'rate(m[4m])', relative)).toEqual([`{} ${formatValue((30 * (180 + 60 + 0)) / 180 / 240)}`]);
    // What it is now is asked for from its beginning.
    expect(await at(180, 'm', relative)).toEqual(['{__name__="m"} 30']);
  });

  it.each([
    { name: 'one sample', range: '1m' },
    { name: 'two, one of them on the left edge', range: '60s' },
  ])('has none of $name', async ({ range }) => {
    expect(await at(120, `rate(m[${range}])`, load(60, 'm 1 2 3'))).toEqual([]);
  });

  it('goes step by step as if each were asked alone', async () => {
    const samples = fc.array(fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant('stale'), fc.constant('_')), {
      minLength: 1,
      maxLength: 30,
    });
    await fc.assert(
      fc.asyncProperty(
        samples,
        fc.integer({ min: 20, max: 200 }),
        fc.constantFrom('rate(m[RANGEs])', 'm'),
        async (list, range, form) => {
          const query = form.replace('RANGE', String(range));
          const loaded = load(15, `m ${list.join(' ')}`);
          const [row = ''] = await over(0, 450, 25, query, loaded);
          const together = row === '' ? [] : row.split(' ').slice(1);
          for (let step = 0; step * 25 <= 450; step++) {
            const [alone] = await at(step * 25, query, loaded);
            expect(together[step] ?? '_').toBe(alone?.split(' ')[1] ?? '_');
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('refuses two series that only their names told apart', async () => {
    const loaded = load(60, 'm{a="b"} 1 2', 'n{a="b"} 3 4');
    await expect(at(60, 'rate({a="b"}[5m])', loaded)).rejects.toMatchObject({ code: 'unprocessable' });
  });
});

describe('aggregations', () => {
  const requests = load(
    60,
    'm{job="a",pod="1"} 1 2 _ _ _ _ _ _ 4',
    'm{job="a",pod="2"} 3 4',
    'm{job="b",pod="1"} 5 NaN',
  );

  it.each([
    { query: 'sum(m)', found: ['{} 9'] },
    { query: 'sum by (job) (m)', found: ['{job="a"} 4', '{job="b"} 5'] },
    { query: 'sum(m) by (job, nothing)', found: ['{job="a"} 4', '{job="b"} 5'] },
    { query: 'SUM WITHOUT (pod) (m)', found: ['{job="a"} 4', '{job="b"} 5'] },
    { query: 'avg without (job) (m)', found: ['{pod="1"} 3', '{pod="2"} 3'] },
    { query: 'max(m)', found: ['{} 5'] },
    { query: 'max by (job) (sum by (job, pod) (m))', found: ['{job="a"} 3', '{job="b"} 5'] },
    { query: 'sum by (__name__) (m)', found: ['{__name__="m"} 9'] },
    { query: 'sum(nothing)', found: [] },
  ])('$query', async ({ query, found }) => {
    expect(await at(0, query, requests)).toEqual(found);
  });

  it('a number is greater than NaN, and a sum with NaN is NaN', async () => {
    expect(await at(60, 'max(m)', requests)).toEqual(['{} 4']);
    expect(await at(60, 'sum(m)', requests)).toEqual(['{} NaN']);
  });

  it('leaves a step out where no member has a sample', async () => {
    expect(await over(0, 540, 180, 'sum by (job) (m{job="a"})', requests)).toEqual(['{job="a"} 4 6 _ 4']);
  });

  it('sums without losing small parts, and averages without overflowing', async () => {
    expect(await at(0, 'sum(m)', load(60, 'm{a="1"} 1', 'm{a="2"} 1e100', 'm{a="3"} 1', 'm{a="4"} -1e100'))).toEqual([
      '{} 2',
    ]);
    const huge = load(60, 'm{a="1"} 1.7e308', 'm{a="2"} 1.7e308');
    expect(Number((await at(0, 'avg(m)', huge))[0]!.slice(3))).toBeCloseTo(1.7e308, -300);
    expect(await at(0, 'avg(m)', load(60, 'm{a="1"} Inf', 'm{a="2"} 1'))).toEqual(['{} +Inf']);
    expect(await at(0, 'avg(m)', load(60, 'm{a="1"} Inf', 'm{a="2"} -Inf'))).toEqual(['{} NaN']);
  });

  it('of rates', async () => {
    const counters = load(60, 'm{job="a",pod="1"} 0+60x5', 'm{job="a",pod="2"} 0+120x5');
    const [found = ''] = await at(300, 'sum by (job) (rate(m[4m]))', counters);
    expect(found).toMatch(/^\{job="a"\} /);
    expect(Number(found.slice(10))).toBeCloseTo(3, 12);
  });
});

describe('what is refused', () => {
  it.each([
    { query: '', at: 1 },
    { query: 'm{', at: 3 },
    { query: 'm{a}', at: 4 },
    { query: 'm{a="b"', at: 8 },
    { query: 'm{a=b}', at: 5 },
    { query: 'm{a=="b"}', at: 4 },
    { query: 'm{a="b', at: 5 },
    { query: 'm{a="\\q"}', at: 6 },
    { query: '{}', at: 1 },
    { query: '{a=""}', at: 1 },
    { query: '{a=~".*"}', at: 1 },
    { query: '{a!="b"}', at: 1 },
    { query: 'm{__name__="n"}', at: 3 },
    { query: 'm[5]m', at: 5 },
    { query: 'm[5x]', at: 4 },
    { query: 'm[]', at: 3 },
    { query: 'm[0s]', at: 3 },
    { query: 'm n', at: 3 },
    { query: 'rate(m)', at: 6 },
    { query: 'rate(m[5m]', at: 11 },
    { query: 'sum(m[5m])', at: 5 },
    { query: 'sum by job (m)', at: 8 },
    { query: 'sum', at: undefined }, // a metric may be called so
    { query: 'foo(m)', at: 1 },
    { query: 'm)', at: 2 },
    { query: '$', at: 1 },
    { query: '-m[5m]', at: 2 },
    { query: '-', at: 2 },
    { query: '('.repeat(100), at: 65 },
    { query: '-'.repeat(100), at: 65 },
  ])('malformed: $query', ({ query, at }) => {
    const attempt = () => parse(query);
    if (at === undefined) expect(attempt).not.toThrow();
    else {
      expect(attempt).toThrow(expect.objectContaining({ code: 'malformed', parameter: 'query' }));
      expect(attempt).toThrow(new RegExp(`at position ${at}(?!\\d)`));
    }
  });

  it.each([
    { query: '1', construct: 'a number' },
    { query: 'NaN', construct: 'a number' },
    { query: '"text"', construct: 'a string' },
    { query: '-1', construct: 'a number' },
    { query: 'm atan2 m', construct: 'the operator atan2' },
    { query: '1 + 2', construct: 'a number' },
    { query: 'm offset 5m', construct: 'offset' },
    { query: 'm @ 5', construct: 'the @ modifier' },
    { query: 'rate(m[5m:1m])', construct: 'a subquery' },
    { query: 'rate(m[5m])[10m:]', construct: 'a subquery' },
    { query: 'rate(m[5m] offset 1m)', construct: 'offset' },
    { query: 'increase(m[5m])', construct: 'the function increase()' },
    { query: 'histogram_quantile(0.9, m)', construct: 'the function histogram_quantile()' },
    { query: 'topk(5, m)', construct: 'the aggregation topk' },
    { query: 'count by (job) (m)', construct: 'the aggregation count' },
  ])('not offered: $query', ({ query, construct }) => {
    const attempt = () => parse(query);
    expect(attempt).toThrow(expect.objectContaining({ code: 'unprocessable' }));
    expect(attempt).toThrow(construct);
    expect(attempt).toThrow('offered are selectors');
  });

  // B30: whatever comes is an expression or a Fault, soon.
  it('any text', () => {
    const part = fc.constantFrom(
      ...[
        'm',
        'rate(',
        'sum',
        ' by ',
        'without',
        '(',
        ')',
        '{',
        '}',
        '[',
        ']',
        '5m',
        '1e3',
        '=',
        '=~',
        '"a"',
        "'",
        '`',
        ',',
        '@',
        ':',
        '#',
        '\\',
        '-',
        'é',
      ],
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(part).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (query) => {
        try {
          parse(query);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(Fault);
        }
      }),
      { numRuns: runs(2_000) },
    );
  });

  it('1 MiB of text, before it is read', () => {
    expect(() => parse('m'.repeat(2 ** 20))).toThrow(expect.objectContaining({ code: 'malformed' }));
  });

  it('more points than Prometheus gives', async () => {
    const loaded = load(60, 'm 1');
    await expect(over(0, 11_000, 1, 'm', loaded)).rejects.toMatchObject({ code: 'malformed', parameter: 'step' });
    await expect(over(0, 10_999, 1, 'm', loaded)).resolves.toHaveLength(1);
  });

  it('more samples than fit', async () => {
    await expect(at(60, 'm[5m]', { ...load(60, 'm 1 2 3'), samplesMax: 1 })).rejects.toMatchObject({
      code: 'unprocessable',
    });
  });

  it('a range vector over a range', async () => {
    await expect(over(0, 60, 60, 'm[5m]', load(60, 'm 1'))).rejects.toMatchObject({ code: 'malformed' });
  });
});

it.each([
  [0, '0'],
  [-0, '-0'],
  [1.5, '1.5'],
  [0.1 + 0.2, '0.30000000000000004'],
  [1e21, '1000000000000000000000'],
  [1.25e22, '12500000000000000000000'],
  [1e-7, '0.0000001'],
  [-1.5e-9, '-0.0000000015'],
  [Number.NaN, 'NaN'],
  [Number.POSITIVE_INFINITY, '+Inf'],
  [Number.NEGATIVE_INFINITY, '-Inf'],
])('writes %d as %s', (value, text) => {
  expect(formatValue(value)).toBe(text);
  if (Number.isFinite(value)) expect(Number(text)).toBe(value);
});
