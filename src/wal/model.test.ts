import fc from 'fast-check';
import { expect, it } from 'vitest';
import { dir, hex, isRequest, openTestLog, request } from '../../test/kit/log-kit.ts';
import { failure, type Loss, LossyFiles, losses, seeded } from '../../test/kit/lossy-files.ts';
import { runs } from '../../test/kit/runs.ts';
import type { Entry, LogReader } from './contract.ts';
import { type OwnedLog, openLogReader } from './index.ts';

// Random actions on the log and on a model of it, with power lost, failing writes and a full disk among them.
// fast-check prints seed and path of a run that fails; give them to `fc.assert` to see it again.

type Action =
  | { readonly kind: 'append'; readonly requests: readonly number[] }
  | { readonly kind: 'settle'; readonly cursor: 'a' | 'b'; readonly share: number }
  | { readonly kind: 'read'; readonly share: number; readonly bytesMax: number }
  | { readonly kind: 'restart' }
  | { readonly kind: 'powerLoss'; readonly loss: Loss; readonly seed: number }
  | { readonly kind: 'failNextWrite' }
  | { readonly kind: 'fullDisk' };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      requests: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      cursor: fc.constantFrom('a' as const, 'b' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      bytesMax: fc.integer({ min: 1, max: 20_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('powerLoss' as const),
      loss: fc.constantFrom(...losses),
      seed: fc.integer(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('failNextWrite' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fullDisk' as const) }) },
);

/** The log and what it must be. */
class Checked {
  files = new LossyFiles();
  log!: OwnedLog;
  reader: LogReader | undefined;
  /** What is in the log, by sequence number; what all cursors have passed may be gone. */
  readonly frames = new Map<number, Entry>();
  /** Requests that were refused, by digest: they may turn up after a restart, as they were written in part. */
  readonly refused = new Map<string, Entry>();
  readonly settled = { a: 0, b: 0 };

  async open(): Promise<void> {
    this.log = await openTestLog(this.files);
    for (const name of ['a', 'b'] as const) {
      const place = this.log.cursor(name).settledSeq;
      // It falls back, or moves over what is gone, which all had passed.
      expect(place).toBeLessThanOrEqual(Math.max(this.settled[name], this.log.stats().firstSeq - 1));
      this.settled[name] = place;
    }
    const after = Math.min(this.settled.a, this.settled.b);
    await this.adopt(after, new Map([...this.frames].filter(([seq]) => seq > after)));
    await this.reader?.[Symbol.asyncDispose]();
    this.reader = undefined;
  }

  /** Reads what comes after `seq`: all of `expected` is there, and nothing else but what was refused. */
  async adopt(after: number, expected: ReadonlyMap<number, Entry>): Promise<void> {
    const reader = await openLogReader({ dir, files: this.files });
    const missing = new Map(expected);
    for (let at = after; at < this.log.durableSeq; ) {
      const read = await reader.read(at, this.log.durableSeq, { bytesMax: 10_000, recordsMax: 1_000 });
      for (const frame of read.frames) {
        const entry = missing.get(frame.seq) ?? this.refused.get(hex(frame.digest));
        expect(entry && isRequest(frame, entry)).toBe(true);
        missing.delete(frame.seq);
        this.frames.set(frame.seq, entry!);
      }
      expect(read.skippedThrough).toBeGreaterThan(at);
      at = read.skippedThrough;
    }
    await reader[Symbol.asyncDispose]();
    expect([...missing.keys()]).toEqual([]);
  }

  knows(entry: Entry): boolean {
    return [...this.frames.values()].some(({ digest }) => hex(digest) === hex(entry.digest));
  }

  async run(step: Action): Promise<void> {
    const { log, files } = this;
    switch (step.kind) {
      case 'append': {
        const before = log.durableSeq;
        const entries = step.requests.map((n) => request(n, 50 + 61 * n));
        const known = entries.map((entry) => this.knows(entry));
        const results = await Promise.allSettled(entries.map((entry) => log.append(entry)));
        const stored: Entry[] = [];
        for (const [i, result] of results.entries()) {
          const entry = entries[i]!;
          if (result.status === 'rejected') {
            expect(result.reason).toMatchObject({ code: 'unavailable' });
            expect(known[i]).toBe(false);
            this.refused.set(hex(entry.digest), entry);
            continue;
          }
          const inGroup = entries.slice(0, i).some(({ digest }) => hex(digest) === hex(entry.digest));
          expect(result.value).toEqual({ answer: entry.answer, repeat: known[i]! || inGroup });
          if (!result.value.repeat) stored.push(entry);
        }
        // Numbered in the order of the calls; a number may be left out where a segment was lost, none here.
        const first = log.durableSeq - stored.length + 1;
        expect(first).toBeGreaterThan(before);
        for (const [i, entry] of stored.entries()) this.frames.set(first + i, entry);
        await this.adopt(before, new Map(stored.map((entry, i) => [first + i, entry])));
        break;
      }
      case 'settle': {
        const seq = Math.floor(step.share * log.durableSeq);
        log.cursor(step.cursor).settle(seq);
        this.settled[step.cursor] = Math.max(this.settled[step.cursor], seq);
        for (let turn = 0; turn < 15; turn++) await new Promise(setImmediate);
        break;
      }
      case 'read': {
        this.reader ??= await openLogReader({ dir, files });
        const least = Math.min(this.settled.a, this.settled.b);
        const after = least + Math.floor(step.share * (log.durableSeq - least));
        const limits = { bytesMax: step.bytesMax, recordsMax: 10_000 };
        const read = await this.reader.read(after, log.durableSeq, limits);
        const expected = [...this.frames.keys()].filter((seq) => seq > after).sort((x, y) => x - y);
        expect(read.frames.map(({ seq }) => seq)).toEqual(expected.slice(0, read.frames.length));
        expect(read.frames.length > 0 || expected.length === 0).toBe(true);
        break;
      }
      case 'restart':
        await log[Symbol.asyncDispose]();
        await this.open();
        break;
      case 'powerLoss': {
        const random = seeded(step.seed);
        const disk = files.afterPowerLoss(files.journal.length, step.loss, random);
        await log[Symbol.asyncDispose]();
        this.files = disk;
        await this.open();
        break;
      }
      case 'failNextWrite': {
        let failed = false;
        files.onAttempt = ({ kind, path }) => {
          if (failed || kind !== 'sync' || !path.endsWith('.segment')) return;
          failed = true;
          throw failure('EIO', path);
        };
        await this.run({ kind: 'append', requests: [61 + Math.floor(seeded(log.durableSeq)() * 30)] });
        files.onAttempt = undefined;
        break;
      }
      case 'fullDisk':
        files.capacityBytes = files.usedBytes() + 700;
        await this.run({ kind: 'append', requests: [100 + (log.durableSeq % 30), 140] });
        files.capacityBytes = Number.POSITIVE_INFINITY;
        // What refuses for a while after a full disk begins anew.
        await log[Symbol.asyncDispose]();
        await this.open();
        break;
    }
  }
}

it('is a queue that keeps what it acknowledged, whatever happens', async () => {
  let powerLosses = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), async (actions) => {
      const checked = new Checked();
      await checked.open();
      try {
        for (const step of actions) {
          await checked.run(step);
          if (step.kind === 'powerLoss') powerLosses++;
        }
      } finally {
        await checked.log[Symbol.asyncDispose]();
        await checked.reader?.[Symbol.asyncDispose]();
      }
    }),
    { numRuns: runs(120) },
  );
  expect(powerLosses).toBeGreaterThan(runs(20));
}, 120_000);
