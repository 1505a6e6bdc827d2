import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeOtlp } from '../../test/kit/otlp.ts';
import { runs } from '../../test/kit/runs.ts';
import { type Batch, type Signal, systemClock } from '../base/index.ts';
import type { BatchLimits, Destination, Keeper, WriteResult } from '../stores/contract.ts';
import { type Log, type NewDeadLetter, openLog, openLogReader } from '../wal/index.ts';
import { type Delivery, startDelivery } from './index.ts';

// Over a real log; the destination is a script.

const closing: (() => PromiseLike<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function newLog(signal: Signal = 'logs') {
  const dir = await mkdtemp(join(tmpdir(), 'watchingcat-deliver-'));
  closing.push(() => rm(dir, { recursive: true, force: true }));
  const log = await openLog({ dir, signal, maxBytes: 64 << 20, clock: systemClock });
  closing.push(() => log[Symbol.asyncDispose]());
  return { dir, log };
}

/** Appends frames '1 2 3': the words are the bodies, the records are one each. */
/** @param outstanding Names of the destinations that are owed them, one a line; all where it is absent. */
async function append(log: Log, words: string, outstanding = ''): Promise<void> {
  await Promise.all(
    words.split(' ').map((word) =>
      log.append({
        tenant: '',
        digest: randomBytes(16),
        receivedUnixNano: systemClock.nowUnixNano(),
        records: 1,
        pieces: [Buffer.from(word)],
        answer: { rejected: 0, message: '' },
        recognise: false,
        outstanding,
      }),
    ),
  );
}

const settled: WriteResult = { kind: 'settled', refused: [] };
const retry: WriteResult = { kind: 'retry', pending: 'all', refused: [], afterMs: undefined, reason: 'busy' };
const split: WriteResult = { kind: 'split', reason: 'not like this' };
const wordsOf = (batch: Batch) => batch.frames.map((frame) => Buffer.from(frame.body).toString());

type Answer = (words: string[], cancel: AbortSignal, batch: Batch) => WriteResult | Promise<WriteResult>;

class Scripted implements Destination {
  readonly name: string;
  readonly takes = new Set<Signal>(['traces', 'metrics', 'logs']);
  readonly limits: BatchLimits;
  readonly keeper?: Keeper;
  readonly calls: string[] = [];
  readonly stored: string[] = [];
  readonly #answer: Answer;

  constructor(answer: Answer, options: Partial<BatchLimits> & { name?: string; keeper?: Keeper } = {}) {
    const { name = 'scripted', keeper, ...limits } = options;
    this.#answer = answer;
    this.name = name;
    this.limits = { batchBytesMax: 1 << 20, batchRecordsMax: 4, lingerMs: 0, inFlightMax: 1, ...limits };
    if (keeper !== undefined) this.keeper = keeper;
  }

  /** What the calls were, '1 2 | 3'. */
  get drawn(): string {
    return this.calls.join(' | ');
  }

  async write(batch: Batch, cancel: AbortSignal): Promise<WriteResult> {
    const words = wordsOf(batch);
    expect(batch.records).toBe(words.length);
    expect(batch.sizeBytes).toBe(words.join('').length);
    this.calls.push(words.join(' '));
    const result = await this.#answer(words, cancel, batch);
    if (result.kind === 'settled') this.stored.push(...words);
    else if (result.kind === 'retry' && result.pending !== 'all') {
      this.stored.push(...words.filter((_, index) => !(result.pending as number[]).includes(index)));
    }
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Answers in this order, then settled for ever. */
const inOrder =
  (...answers: WriteResult[]): Answer =>
  () =>
    answers.shift() ?? settled;

interface Started {
  delivery: Delivery;
  letters: NewDeadLetter[];
  told: string[];
}

async function start(
  { dir, log }: { dir: string; log: Log },
  destination: Destination,
  addLetter: (letter: NewDeadLetter) => Promise<void> = async () => {},
): Promise<Started> {
  const reader = await openLogReader({ dir });
  const letters: NewDeadLetter[] = [];
  const told: string[] = [];
  const delivery = startDelivery({
    destination,
    sources: [{ signal: log.signal, reader, feed: log, cursor: log.cursor(destination.name) }],
    deadLetters: {
      add: async (letter) => {
        await addLetter(letter);
        // A copy: the memory of a frame is used again once its batch is settled.
        letters.push({ ...letter, frame: { ...letter.frame, body: letter.frame.body.slice() } });
        return true;
      },
    },
    observer: {
      sent: (_, records) => told.push(`sent ${records}`),
      failed: (_, records, reason) => told.push(`failed ${records}: ${reason}`),
      refused: (_, records, reason) => told.push(`refused ${records}: ${reason}`),
      skipped: (_, frames) => told.push(`skipped ${frames}`),
    },
    random: () => 0,
  });
  closing.push(async () => {
    await delivery.stop(0);
    await reader[Symbol.asyncDispose]();
  });
  return { delivery, letters, told };
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error('waited 10 s in vain');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
const drained = (log: Log, name = 'scripted') => until(() => log.cursor(name).settledSeq === log.durableSeq);

describe('delivery', () => {
  it('delivers what was there and what comes, in order, and moves the cursor', async () => {
    const place = await newLog();
    await append(place.log, '1 2 3 4 5 6');
    const destination = new Scripted(inOrder());
    const { delivery, told } = await start(place, destination);
    await drained(place.log);
    await append(place.log, '7');
    await drained(place.log);
    expect(destination.drawn).toBe('1 2 3 4 | 5 6 | 7');
    expect(told).toEqual(['sent 4', 'sent 2', 'sent 1']);
    expect(delivery.stats().logs).toMatchObject({ state: 'idle', settledSeq: 7, lagSeconds: 0, pendingFrames: 0 });
  });

  it.each([
    { name: 'retry, whole', answers: [retry, retry], calls: '1 2 3 | 1 2 3 | 1 2 3' },
    { name: 'retry of some', answers: [{ ...retry, pending: [1] } as WriteResult], calls: '1 2 3 | 2' },
    {
      name: 'retry of some, twice',
      answers: [
        { ...retry, pending: [0, 2] },
        { ...retry, pending: [1] },
      ] as WriteResult[],
      calls: '1 2 3 | 1 3 | 3',
    },
    { name: 'retry of none', answers: [{ ...retry, pending: [] } as WriteResult], calls: '1 2 3' },
    {
      name: 'retry of frames that are not there',
      answers: [{ ...retry, pending: [7] } as WriteResult],
      calls: '1 2 3 | 1 2 3',
    },
    { name: 'split once', answers: [split], calls: '1 2 3 | 1 | 2 3' },
    { name: 'split, then retry of a half', answers: [split, retry], calls: '1 2 3 | 1 | 1 | 2 3' },
  ])('$name: $calls', async ({ answers, calls }) => {
    const place = await newLog();
    await append(place.log, '1 2 3');
    const destination = new Scripted(inOrder(...answers));
    const { letters } = await start(place, destination);
    await drained(place.log);
    expect(destination.drawn).toBe(calls);
    expect(letters).toEqual([]);
  });

  it('a destination that throws is one to try again', async () => {
    const place = await newLog();
    await append(place.log, '1');
    let thrown = 0;
    const destination = new Scripted(() => {
      if (thrown++ < 3) throw new TypeError('secret payload');
      return settled;
    });
    const { told } = await start(place, destination);
    await drained(place.log);
    expect(told).toEqual([...Array(3).fill('failed 1: internal error'), 'sent 1']);
  });

  it('a poisoned frame is bisected until it is alone and becomes a dead letter, all others arrive', async () => {
    const place = await newLog();
    const words = Array.from({ length: 100 }, (_, index) => (index === 63 ? 'bad' : `${index}`));
    await append(place.log, words.join(' '));
    const destination = new Scripted((batch) => (batch.includes('bad') ? split : settled), { batchRecordsMax: 100 });
    const { letters, told } = await start(place, destination);
    await drained(place.log);
    expect(destination.stored).toEqual(words.filter((word) => word !== 'bad'));
    expect(letters).toHaveLength(1);
    expect(letters[0]).toMatchObject({
      destination: 'scripted',
      signal: 'logs',
      logId: place.log.logId,
      records: undefined,
      reason: 'not like this',
    });
    expect(Buffer.from(letters[0]!.frame.body).toString()).toBe('bad');
    expect(told.filter((line) => line.startsWith('refused'))).toEqual(['refused 1: not like this']);
    expect(destination.calls.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(100)) + 1);
  });

  it('refused records become one dead letter a frame; a bare count makes none, and is told', async () => {
    const place = await newLog();
    await append(place.log, '1 2 3');
    const refused = [
      { frame: 2, record: 5, count: 1, reason: 'too old' },
      { frame: 0, record: undefined, count: 1, reason: 'no mapping' },
      { frame: 2, record: 1, count: 1, reason: 'also too old' },
      { frame: undefined, record: undefined, count: 4, reason: 'rejected' },
    ];
    const { letters, told } = await start(place, new Scripted(inOrder({ kind: 'settled', refused })));
    await drained(place.log);
    expect(letters.map(({ frame, records, reason }) => ({ seq: frame.seq, records, reason }))).toEqual([
      { seq: 3, records: [1, 5], reason: 'too old' },
      { seq: 1, records: undefined, reason: 'no mapping' },
    ]);
    expect(told.filter((line) => line.startsWith('refused'))).toEqual([
      'refused 1: too old',
      'refused 1: no mapping',
      'refused 1: also too old',
      'refused 4: rejected',
    ]);
  });

  it('a dead letter that cannot be written holds the cursor until it can', async () => {
    const place = await newLog();
    await append(place.log, 'bad');
    let failures = 3;
    const { letters, told } = await start(place, new Scripted(() => split), async () => {
      if (failures-- > 0) throw new Error('disk');
    });
    await drained(place.log);
    expect(letters).toHaveLength(1);
    expect(told.filter((line) => line.startsWith('failed'))).toEqual(
      Array(3).fill('failed 1: a dead letter could not be written'),
    );
  });

  it('several batches at once; the cursor moves over what is settled without a gap', async () => {
    const place = await newLog();
    await append(place.log, '1 2 3 4 5 6');
    const gates = new Map<string, () => void>();
    const destination = new Scripted(
      (words) => new Promise((resolve) => gates.set(words[0]!, () => resolve(settled))),
      { batchRecordsMax: 2, inFlightMax: 3 },
    );
    await start(place, destination);
    await until(() => gates.size === 3);
    const cursor = place.log.cursor('scripted');
    gates.get('3')!();
    gates.get('5')!();
    await until(() => destination.stored.length === 4);
    expect(cursor.settledSeq).toBe(0);
    gates.get('1')!();
    await until(() => cursor.settledSeq === 6);
  });

  it('no more batches at once than it may, and one at a time while it fails', async () => {
    const place = await newLog();
    await append(place.log, Array.from({ length: 60 }, (_, index) => `${index}`).join(' '));
    let underWay = 0;
    let most = 0;
    let failing = true;
    let failures = 0;
    const after: number[] = [];
    const destination = new Scripted(
      async () => {
        underWay++;
        most = Math.max(most, underWay);
        if (failures >= 8 && failing) after.push(underWay);
        await new Promise((resolve) => setTimeout(resolve, 1));
        underWay--;
        if (failing && ++failures === 20) failing = false;
        return failing ? retry : settled;
      },
      { batchRecordsMax: 1, inFlightMax: 4 },
    );
    await start(place, destination);
    await drained(place.log);
    expect(most).toBe(4);
    expect(Math.max(...after)).toBe(1);
    expect(new Set(destination.stored).size).toBe(60);
  });

  it('honours what the destination asks to wait', async () => {
    const place = await newLog();
    await append(place.log, '1');
    const times: number[] = [];
    const destination = new Scripted(() => {
      times.push(performance.now());
      return times.length === 1 ? ({ ...retry, afterMs: 100 } as WriteResult) : settled;
    });
    const { delivery } = await start(place, destination);
    await until(() => times.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(delivery.stats().logs).toMatchObject({
      state: 'retrying',
      failures: 1,
      lastError: 'busy',
      pendingFrames: 1,
      pendingRecords: 1,
      pendingBytes: 1,
    });
    await drained(place.log);
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(99);
    expect(delivery.stats().logs).toMatchObject({
      state: 'idle',
      failures: 0,
      lastError: undefined,
      failingSinceUnixMs: undefined,
    });
  });

  it('waits a little for fuller batches, and no longer than that', async () => {
    const place = await newLog();
    const destination = new Scripted(inOrder(), { batchRecordsMax: 1000, lingerMs: 150 });
    await start(place, destination);
    await append(place.log, '1');
    await append(place.log, '2');
    await append(place.log, '3');
    await drained(place.log);
    expect(destination.drawn).toBe('1 2 3');
  });

  it('a full batch does not wait', async () => {
    const place = await newLog();
    const destination = new Scripted(inOrder(), { batchRecordsMax: 2, lingerMs: 3_600_000 });
    await start(place, destination);
    await append(place.log, '1 2 3 4 5');
    await until(() => destination.stored.length === 4);
    expect(destination.drawn).toBe('1 2 | 3 4');
  });

  it('learns what size goes through', async () => {
    const place = await newLog();
    const words = Array.from({ length: 40 }, (_, index) => `${index}`.padStart(20_000, '.'));
    await append(place.log, words.join(' '));
    const destination = new Scripted((_, __, batch) => (batch.sizeBytes > 100_000 ? split : settled), {
      batchBytesMax: 200_000,
      batchRecordsMax: 1000,
    });
    const { letters } = await start(place, destination);
    await drained(place.log);
    expect(destination.stored).toEqual(words);
    expect(letters).toEqual([]);
    // One refusal at most for each batch that was cut before the size was known: one read of the log.
    const refused = destination.calls.filter((call) => call.replaceAll(' ', '').length > 100_000).length;
    await append(place.log, words.join(' '));
    await drained(place.log);
    expect(destination.calls.filter((call) => call.replaceAll(' ', '').length > 100_000).length).toBe(refused);
  });

  it('a slow destination does not hold another', async () => {
    const place = await newLog();
    const slow = new Scripted(() => new Promise(() => {}), { name: 'slow' });
    const quick = new Scripted(inOrder(), { name: 'quick' });
    const { delivery } = await start(place, slow);
    await start(place, quick);
    await append(place.log, '1 2 3 4 5 6 7 8 9');
    await drained(place.log, 'quick');
    await until(() => slow.calls.length === 1);
    expect(quick.stored).toHaveLength(9);
    expect(place.log.cursor('slow').settledSeq).toBe(0);
    expect(delivery.stats().logs).toMatchObject({ state: 'delivering', pendingFrames: 9, batchesInFlight: 1 });
  });

  it('passes over damage, tells of it, and delivers what comes after', async () => {
    const place = await newLog();
    await append(place.log, 'aaaa bbbb cccc');
    const name = (await readdir(place.dir)).find((each) => each.endsWith('.segment'));
    const file = await open(join(place.dir, name!), 'r+');
    const bytes = Buffer.alloc(64 << 10);
    await file.read(bytes, 0, bytes.length, 0);
    await file.write(Buffer.from('X'), 0, 1, bytes.indexOf('bbbb'));
    await file.close();
    const destination = new Scripted(inOrder());
    const { told } = await start(place, destination);
    await drained(place.log);
    expect(destination.stored).toEqual(['aaaa', 'cccc']);
    expect(told).toContain('skipped 1');
  });
});

describe('stop', () => {
  it('waits for what is under way, starts nothing more; a restart goes on after it', async () => {
    const place = await newLog();
    await append(place.log, '1 2 3 4 5 6');
    let finish: (() => void) | undefined;
    const destination = new Scripted(
      () =>
        new Promise((resolve) => {
          finish = () => resolve(settled);
        }),
    );
    const { delivery } = await start(place, destination);
    await until(() => finish !== undefined);
    const stopping = delivery.stop(10_000);
    finish!();
    await stopping;
    expect(destination.drawn).toBe('1 2 3 4');
    expect(place.log.cursor('scripted').settledSeq).toBe(4);
    expect(delivery.stats().logs?.state).toBe('stopped');
    const again = new Scripted(inOrder());
    await start(place, again);
    await drained(place.log);
    expect(again.drawn).toBe('5 6');
  });

  it('cancels what is still under way at the deadline, and then settles nothing more', async () => {
    const place = await newLog();
    await append(place.log, '1');
    let finish: (() => void) | undefined;
    let cancelled = false;
    const destination = new Scripted((_, cancel) => {
      cancel.addEventListener('abort', () => {
        cancelled = true;
      });
      return new Promise((resolve) => {
        finish = () => resolve(settled);
      });
    });
    const { delivery, told } = await start(place, destination);
    await until(() => finish !== undefined);
    await delivery.stop(20);
    expect(cancelled).toBe(true);
    finish!();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(place.log.cursor('scripted').settledSeq).toBe(0);
    expect(told).toEqual([]);
  });

  it('does not sit out a backoff, and may be called twice', async () => {
    const place = await newLog();
    await append(place.log, '1');
    const destination = new Scripted(() => ({ ...retry, afterMs: 300_000 }) as WriteResult);
    const { delivery } = await start(place, destination);
    await until(() => delivery.stats().logs?.state === 'retrying');
    const before = performance.now();
    await Promise.all([delivery.stop(60_000), delivery.stop(60_000)]);
    expect(performance.now() - before).toBeLessThan(5_000);
    expect(destination.calls).toHaveLength(1);
  });
});

describe('a keeper', () => {
  class MemoryKeeper implements Keeper {
    readonly kept = new Map<string, number>();
    listener: ((signal: Signal, logId: string, seq: number) => void) | undefined;
    readonly settledSeqs: number[] = [];
    keptThrough(signal: Signal, logId: string): number {
      return this.kept.get(`${signal} ${logId}`) ?? 0;
    }
    onKept(listener: (signal: Signal, logId: string, seq: number) => void): void {
      this.listener = listener;
    }
    settled(_: Signal, __: string, seq: number): void {
      this.settledSeqs.push(seq);
    }
  }

  it('is told what is settled when the dead letters of it are on disk', async () => {
    const place = await newLog();
    await append(place.log, '1 2 3');
    const keeper = new MemoryKeeper();
    const refused = [{ frame: 1, record: 0, count: 1, reason: 'odd' }];
    const destination = new Scripted(inOrder({ kind: 'settled', refused }), { keeper });
    const onDisk = Promise.withResolvers<void>();
    await start(place, destination, () => onDisk.promise);
    await until(() => destination.stored.length === 3);
    expect(keeper.settledSeqs).toEqual([]);
    onDisk.resolve();
    await until(() => keeper.settledSeqs.length > 0);
    expect(keeper.settledSeqs).toEqual([3]);
    expect(place.log.cursor('scripted').settledSeq).toBe(0);
  });

  it('is fed again from what it has safe; the cursor follows what it keeps', async () => {
    const place = await newLog();
    await append(place.log, '1 2 3 4 5');
    const keeper = new MemoryKeeper();
    keeper.kept.set(`logs ${place.log.logId}`, 2);
    const destination = new Scripted(inOrder(), { keeper });
    const { delivery } = await start(place, destination);
    await until(() => destination.stored.length === 3);
    expect(destination.drawn).toBe('3 4 5');
    const cursor = place.log.cursor('scripted');
    expect(cursor.settledSeq).toBe(2);
    await until(() => delivery.stats().logs?.state === 'idle');
    keeper.listener!('logs', place.log.logId, 4);
    expect(cursor.settledSeq).toBe(4);
    keeper.listener!('logs', '00', 5);
    keeper.listener!('traces', place.log.logId, 5);
    keeper.listener!('logs', place.log.logId, 3);
    expect(cursor.settledSeq).toBe(4);
  });

  it('that is behind is not fed what another replica took over', async () => {
    const place = await newLog();
    await append(place.log, '1 2 3 4 5');
    const keeper = new MemoryKeeper();
    keeper.kept.set(`logs ${place.log.logId}`, 2);
    place.log.cursor('scripted').settleHanded(4);
    const destination = new Scripted(inOrder(), { keeper });
    await start(place, destination);
    await until(() => destination.stored.length === 1);
    expect(destination.drawn).toBe('5');
  });
});

describe('what another replica handed over', () => {
  it.each([
    { name: 'between others', owed: 'a  b  a', drawn: { a: '0 2', b: '1' } },
    { name: 'first and last', owed: 'b a a b', drawn: { a: '1 2', b: '0 3' } },
    { name: 'all for others', owed: 'b b b', drawn: { a: '', b: '0 1 2' } },
    { name: 'for both', owed: 'ab b ab', drawn: { a: '0 2', b: '0 1 2' } },
    { name: 'beside what clients sent, which is for all', owed: '* b *', drawn: { a: '0 2', b: '0 1 2' } },
    { name: 'for one that is not here', owed: 'c a c', drawn: { a: '1', b: '' } },
  ])('goes to those alone that are owed it: $name', async ({ owed, drawn }) => {
    const place = await newLog();
    for (const [index, names] of owed.split(/ +/).entries())
      await append(place.log, `${index}`, names === '*' ? '' : [...names].join('\n'));
    const both = [...'ab'].map((name) => new Scripted(inOrder(), { name, batchRecordsMax: 2 }));
    for (const destination of both) await start(place, destination);
    for (const name of 'ab') await drained(place.log, name);
    expect(both.map(({ stored }) => stored.join(' '))).toEqual([drawn.a, drawn.b]);
  });

  it('takes no place among the batches that are under way', async () => {
    const place = await newLog();
    const gate = Promise.withResolvers<WriteResult>();
    const destination = new Scripted((words) => (words[0] === '1' ? gate.promise : settled), { inFlightMax: 2 });
    await append(place.log, '1');
    const { delivery } = await start(place, destination);
    await until(() => delivery.stats().logs?.batchesInFlight === 1);
    await append(place.log, '2 3', 'somebody');
    await until(() => delivery.stats().logs?.pendingFrames === 1);
    await append(place.log, '4');
    await until(() => destination.stored.length === 1);
    expect([destination.drawn, place.log.cursor('scripted').settledSeq]).toEqual(['1 | 4', 0]);
    gate.resolve(settled);
    await drained(place.log);
  });

  it('is passed only when what came before it is delivered', async () => {
    const place = await newLog();
    const gate = Promise.withResolvers<WriteResult>();
    const destination = new Scripted(() => gate.promise);
    await append(place.log, '1');
    await append(place.log, '2 3', 'somebody');
    const { delivery } = await start(place, destination);
    await until(() => delivery.stats().logs?.batchesInFlight === 1);
    await append(place.log, '4', 'somebody');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(place.log.cursor('scripted').settledSeq).toBe(0);
    gate.resolve(settled);
    await drained(place.log);
    expect(destination.drawn).toBe('1');
  });
});

describe('a dead letter that is given again', () => {
  const body = encodeOtlp('logs', {
    resourceLogs: [{ scopeLogs: [{ logRecords: ['a', 'b', 'c'].map((text) => ({ body: { stringValue: text } })) }] }],
  });
  const frame = { seq: 7, tenant: '', digest: Buffer.alloc(16, 0xab), receivedUnixNano: 1n, records: 3, body };
  const letter = { signal: 'logs' as const, logId: 'cd'.repeat(16), frame, records: [0, 2] };
  const never = new AbortController().signal;
  const refusing = (...records: number[]): WriteResult => ({
    kind: 'settled',
    refused: records.map((record) => ({ frame: 0, record, count: 1, reason: 'still bad' })),
  });

  /** Notes what it is given. */
  const answering = (answer: () => WriteResult, batches: Batch[]) =>
    Object.assign(new Scripted(inOrder()), {
      async write(batch: Batch) {
        batches.push(batch);
        return answer();
      },
    });

  it.each([
    ['all taken', settled, { kind: 'taken' }],
    [
      'one refused, by its place in what was given',
      refusing(1),
      { kind: 'refused', records: [2], reason: 'still bad' },
    ],
    ['refused as a whole', split, { kind: 'refused', records: [0, 2], reason: 'not like this' }],
    ['not now', retry, { kind: 'failed', reason: 'busy' }],
  ])('%s', async (_, answer, expected) => {
    const place = await newLog();
    const batches: Batch[] = [];
    const destination = answering(() => answer, batches);
    const { delivery, letters } = await start(place, destination);
    expect(await delivery.replay(letter, never)).toEqual(expected);
    // Only what was refused; and whatever comes of it, no letter more and no place in the log.
    expect(batches).toHaveLength(1);
    expect(batches[0]).toMatchObject({ logId: letter.logId, records: 2 });
    const texts = Buffer.from(batches[0]!.frames[0]!.body).toString('latin1');
    expect([texts.includes('a'), texts.includes('b'), texts.includes('c')]).toEqual([true, false, true]);
    expect(letters).toEqual([]);
    expect(place.log.cursor('scripted').settledSeq).toBe(0);
  });

  it('is given whole where records are recognised; refusals of others do not count', async () => {
    const place = await newLog();
    const batches: Batch[] = [];
    const destination = Object.assign(
      answering(() => refusing(1), batches),
      { recognisesRecords: true },
    );
    const { delivery } = await start(place, destination);
    expect(await delivery.replay(letter, never)).toEqual({ kind: 'taken' });
    expect(batches).toMatchObject([{ logId: letter.logId, records: 3, frames: [frame] }]);
  });

  it('is not tried while the destination fails', async () => {
    const place = await newLog();
    await append(place.log, '1');
    const batches: Batch[] = [];
    let fails = true;
    const destination = answering(() => (fails ? { ...retry, afterMs: 200 } : settled), batches);
    const { delivery } = await start(place, destination);
    await until(() => delivery.stats().logs?.state === 'retrying');
    expect(await delivery.replay(letter, never)).toEqual({ kind: 'failed', reason: 'busy' });
    expect(batches).toHaveLength(1);
    fails = false;
    await until(() => delivery.stats().logs?.state !== 'retrying');
    expect(await delivery.replay(letter, never)).toEqual({ kind: 'taken' });
  });

  it('gets its turn beside a log that never ends', async () => {
    const place = await newLog();
    let ended = false;
    const batches: Batch[] = [];
    const destination = answering(() => {
      // Always a batch more.
      if (!ended) void append(place.log, '1 2 3 4 5 6 7 8');
      return settled;
    }, batches);
    await append(place.log, '1 2 3 4 5 6 7 8');
    const { delivery } = await start(place, destination);
    await until(() => batches.length > 3);
    expect(await delivery.replay(letter, never)).toEqual({ kind: 'taken' });
    ended = true;
  });

  it('is not given to a keeper, which would pass it over', async () => {
    const place = await newLog();
    const batches: Batch[] = [];
    const destination = Object.assign(
      answering(() => settled, batches),
      { keeper: { keptThrough: () => 0, onKept() {} } },
    );
    const { delivery } = await start(place, destination);
    expect(await delivery.replay(letter, never)).toMatchObject({ kind: 'refused', records: letter.records });
    expect(batches).toEqual([]);
  });
});

it('whatever a destination answers: nothing is lost, and with one batch at a time the order stays', async () => {
  const answers = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constant({ kind: 'settled' as const }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('retry' as const), pending: fc.array(fc.nat(12)) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('split' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('throw' as const) }) },
    ),
    { maxLength: 30 },
  );
  const limits = fc.record({
    batchRecordsMax: fc.integer({ min: 1, max: 9 }),
    inFlightMax: fc.integer({ min: 1, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 25 }),
      answers,
      limits,
      async (count, script, { batchRecordsMax, inFlightMax }) => {
        const place = await newLog();
        const words = Array.from({ length: count }, (_, index) => `${index + 1}`);
        const left = [...script];
        const destination = new Scripted(
          (batch) => {
            const next = left.shift() ?? { kind: 'settled' };
            if (next.kind === 'throw') throw new Error('bug');
            if (next.kind === 'split') return split;
            if (next.kind === 'retry') {
              return {
                ...retry,
                pending: [...new Set(next.pending)].filter((index) => index < batch.length),
              } as WriteResult;
            }
            return settled;
          },
          { batchRecordsMax, inFlightMax },
        );
        const half = count >> 1;
        if (half > 0) await append(place.log, words.slice(0, half).join(' '));
        const { letters } = await start(place, destination);
        await append(place.log, words.slice(half).join(' '));
        await drained(place.log);
        const dead = letters.map((letter) => Buffer.from(letter.frame.body).toString());
        expect([...destination.stored, ...dead].sort()).toEqual([...words].sort());
        if (inFlightMax === 1 && !script.some((answer) => answer.kind === 'retry')) {
          expect(destination.stored).toEqual(words.filter((word) => !dead.includes(word)));
        }
        for (const close of closing.splice(0).reverse()) await close();
      },
    ),
    { numRuns: runs(40) },
  );
});
