import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { requestSamplesMax, suspectMsMin, suspectsMax } from './limits.ts';
import { Samples } from './samples.ts';
import { SeriesTable } from './series.ts';
import { Shard } from './shard.ts';

// Against a model of a far side that fails (500) over each request that holds one of certain samples, or over all of them.

interface Far {
  /** Whether it fails over this sample. */
  readonly bad: (sample: number) => boolean;
  /** Whether it fails over everything in this try. */
  readonly down: (attempt: number) => boolean;
}

const seriesCount = 20;

/** Tries as the destination does, half a minute apart. */
function deliver(count: number, far: Far, attempts: number) {
  const table = new SeriesTable();
  const family = table.family({ name: 'm', type: 'gauge', help: '', unit: '', otlpUnit: '' });
  const samples = new Samples();
  samples.begin();
  for (let at = 0; at < count; at++) {
    const series = table.find(family, new Map([['n', `${at % seriesCount}`]]));
    samples.addDouble(series, 1 + at, 0, at, 0, 0, 0);
  }
  const order: number[] = [];
  for (const owner of samples.touched) {
    for (let at = owner.first; at >= 0; at = samples.next[at]!) order.push(at);
  }
  const shard = new Shard(samples, order);
  const stored: number[] = [];
  let requests = 0;
  let mostInOneTry = 0;
  let attempt = 0;
  for (; attempt < attempts && shard.step !== undefined; attempt++) {
    const nowMs = attempt * 30_000;
    shard.begin();
    let failures = 0;
    for (let step = shard.step; step !== undefined; step = shard.step) {
      requests++;
      if (!far.down(attempt) && !step.order.some(far.bad)) {
        stored.push(...step.order);
        shard.settle({ kind: 'stored' });
        continue;
      }
      failures++;
      if (shard.isSuspect) shard.blame(!far.down(attempt), nowMs, 'HTTP 500');
      if (shard.step === step && !shard.failed(nowMs)) break;
    }
    if (far.down(attempt)) mostInOneTry = Math.max(mostInOneTry, failures);
  }
  return { shard, samples, stored, requests, attempt, mostInOneTry };
}

const up = () => false;
const sorted = (list: readonly number[]) => [...list].sort((a, b) => a - b);
const refusedBy = (shard: Shard) => sorted(shard.refused.map(({ sample }) => sample));

describe('a far side that fails', () => {
  it('over a few samples for ever: those are given up, all others are stored, each series in order', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.uniqueArray(fc.nat(299), { minLength: 1, maxLength: 3 }),
        (count, chosen) => {
          const bad = new Set(chosen.filter((sample) => sample < count));
          const { shard, samples, stored } = deliver(count, { bad: (sample) => bad.has(sample), down: up }, 1_000);
          expect(shard.step).toBeUndefined();
          expect(refusedBy(shard)).toEqual(sorted([...bad]));
          expect(sorted([...stored, ...bad])).toEqual(Array.from({ length: count }, (_, at) => at));
          for (const list of Map.groupBy(stored, (sample) => samples.owners[sample]).values())
            expect(list).toEqual(sorted(list));
        },
      ),
      { numRuns: 200 },
    ));

  it('over one of 10,000: all others are stored within minutes', () => {
    const { shard, stored, attempt } = deliver(requestSamplesMax, { bad: (at) => at === 7_777, down: up }, 60);
    expect(stored).toHaveLength(requestSamplesMax - 1);
    expect(refusedBy(shard)).toEqual([7_777]);
    expect(attempt * 30_000).toBeLessThan(suspectMsMin + 300_000);
  });

  it.each([1, 8, 300])(
    'over everything, for a week: nothing of %d is given up, and all arrives after that',
    (count) => {
      const week = 7 * 24 * 120;
      const { shard, stored, mostInOneTry } = deliver(
        count,
        { bad: () => false, down: (attempt) => attempt < week },
        week + 1,
      );
      expect(shard.refused).toEqual([]);
      expect(sorted(stored)).toEqual(Array.from({ length: count }, (_, at) => at));
      expect(mostInOneTry).toBeLessThanOrEqual(2);
    },
  );

  it('over some series, as where a part of it is down: nothing is given up', () => {
    const far = { bad: (sample: number) => sample % seriesCount < 11, down: up };
    const { shard, stored } = deliver(400, far, 10_000);
    expect(shard.refused).toEqual([]);
    expect(stored.every((sample) => !far.bad(sample))).toBe(true);
    expect(11).toBeGreaterThan(suspectsMax);
  });

  it('over a few samples, and comes back within a quarter of an hour: nothing is given up', () => {
    const back = suspectMsMin / 30_000 - 1;
    let attempts = 0;
    const far: Far = {
      bad: (sample) => attempts < back && sample < 2,
      down: (attempt) => {
        attempts = attempt;
        return false;
      },
    };
    const { shard, stored } = deliver(100, far, 1_000);
    expect(shard.refused).toEqual([]);
    expect(stored).toHaveLength(100);
  });
});
