import { describe, expect, it, onTestFinished } from 'vitest';
import { dir, hex, openTestLog, readAll, request, TestClock } from '../../test/kit/log-kit.ts';
import { LossyFiles } from '../../test/kit/lossy-files.ts';
import { type OwnedLog, openLogReader } from '../wal/index.ts';
import { knowPeers } from './client.ts';
import { handOver } from './hand-over.ts';
import { listenPeers } from './server.ts';
import { takeOver } from './take.ts';

const token = 'a-token-of-replicas';

/** A log of traces, and a door at which others hand over for its destinations. */
class Replica {
  files: LossyFiles;
  readonly destinations: readonly string[];
  readonly clock: TestClock;
  log: OwnedLog;
  /** Answers wait for it, when the frame is on disk. */
  gate: Promise<void> = Promise.resolve();
  #listener: Awaited<ReturnType<typeof listenPeers>> | undefined;

  private constructor(files: LossyFiles, clock: TestClock, log: OwnedLog, destinations: readonly string[]) {
    this.files = files;
    this.clock = clock;
    this.log = log;
    this.destinations = destinations;
  }

  static async start(destinations: readonly string[], maxBytes = 2 ** 30): Promise<Replica> {
    const files = new LossyFiles();
    const clock = new TestClock();
    const replica = new Replica(files, clock, await openTestLog(files, { clock, maxBytes }), destinations);
    for (const name of destinations) replica.log.cursor(name);
    replica.#listener = await listenPeers({
      host: '127.0.0.1',
      port: 0,
      token,
      instance: `${Math.random()}`,
      take: async (handed) => {
        const answer = await takeOver(handed, replica.log, destinations, () => undefined);
        await replica.gate;
        return answer;
      },
      answer: async () => ({ status: 404, text: '{}' }),
      logger: { warn: () => undefined, error: () => undefined },
    });
    onTestFinished(async () => {
      await replica.stop();
      await replica.log[Symbol.asyncDispose]();
    });
    return replica;
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  async drain(): Promise<void> {
    await this.#listener?.drain();
  }

  async stop(): Promise<void> {
    await this.#listener?.close();
  }

  async reopen(): Promise<void> {
    await this.log[Symbol.asyncDispose]();
    this.log = await openTestLog(this.files, { clock: this.clock });
  }

  /** Loses its power: what was not synced is gone, and nothing was closed. */
  async kill(): Promise<void> {
    this.files = this.files.afterPowerLoss(this.files.journal.length, 'lost', Math.random);
    this.log = await openTestLog(this.files, { clock: this.clock });
  }

  async fill(from: number, through: number): Promise<void> {
    for (let n = from; n <= through; n++) await this.log.append(request(n));
  }

  /** `number of the request: destinations that are owed it`, in the order of the log. */
  async held(numbers: number): Promise<string[]> {
    const known = new Map(
      Array.from({ length: numbers }, (_, index) => [hex(request(index + 1).digest), index + 1] as const),
    );
    const { frames } = await readAll(this.files, this.log.durableSeq);
    return frames.map(
      ({ digest, outstanding }) => `${known.get(hex(digest))}: ${(outstanding ?? '').replaceAll('\n', ' ')}`,
    );
  }

  /** What the others' names stand for is `to`, in a random order. */
  async handOver(to: readonly { readonly port: number }[], withinMs = 10_000, shown = token) {
    const peers = knowPeers(
      to.map(({ port }) => ({ host: '127.0.0.1', port })),
      shown,
      'the giver',
    );
    await using reader = await openLogReader({ dir, files: this.files });
    const source = { log: this.log, reader, destinations: this.destinations };
    try {
      return await handOver(source, peers, AbortSignal.timeout(withinMs), () => undefined);
    } finally {
      peers[Symbol.dispose]();
    }
  }
}

const owed = (from: number, through: number, to: string) =>
  Array.from({ length: through - from + 1 }, (_, index) => `${from + index}: ${to}`);
const sorted = (lines: readonly string[]) => lines.toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));

describe('handing over', () => {
  it('gives each frame for those destinations alone that have not got it, and notes that', async () => {
    const [giver, taker] = [await Replica.start(['a', 'b']), await Replica.start(['a', 'b'])];
    await giver.fill(1, 40);
    giver.log.cursor('a').settle(10);
    giver.log.cursor('b').settle(30);
    const { requests, records, left } = await giver.handOver([taker]);
    expect(sorted(await taker.held(40))).toEqual([...owed(11, 30, 'a'), ...owed(31, 40, 'a b')]);
    expect({ requests, left }).toEqual({ requests: 30, left: undefined });
    expect(records).toBe(Array.from({ length: 30 }, (_, at) => request(at + 11).records).reduce((a, b) => a + b));
    await giver.reopen();
    for (const name of ['a', 'b']) expect(giver.log.cursor(name)).toMatchObject({ settledSeq: 40, handedSeq: 40 });
    expect((await giver.handOver([taker])).requests).toBe(0);
  });

  it('keeps tenant, time, answer and body', async () => {
    const [giver, taker] = [await Replica.start(['a']), await Replica.start(['a'])];
    await giver.fill(15, 15); // with a tenant, and an answer with a message
    await giver.handOver([taker]);
    const [before] = (await readAll(giver.files, 1)).frames;
    const [after] = (await readAll(taker.files, 1)).frames;
    expect(after).toEqual({ ...before, outstanding: 'a' });
    expect(await taker.log.append(request(15))).toMatchObject({ repeat: true, answer: request(15).answer });
  });

  it('passes on what was taken over itself for those that are still owed it', async () => {
    const [first, second, third] = [
      await Replica.start(['a', 'b']),
      await Replica.start(['a', 'b']),
      await Replica.start(['a', 'b']),
    ];
    await first.fill(1, 10);
    first.log.cursor('a').settle(10);
    await first.handOver([second]);
    await second.handOver([third]);
    expect(sorted(await third.held(10))).toEqual(owed(1, 10, 'b'));
    expect(second.log.cursor('a').settledSeq).toBe(10);
  });

  it('does not write again what the taker was sent by the client', async () => {
    const [giver, taker] = [await Replica.start(['a']), await Replica.start(['a'])];
    await taker.fill(3, 3);
    await giver.fill(1, 5);
    expect(await giver.handOver([taker])).toMatchObject({ requests: 5, left: undefined });
    expect(sorted(await taker.held(5))).toEqual(['1: a', '2: a', '3: ', '4: a', '5: a']);
  });

  it('writes again what the taker has for others alone, for those that it has not, also after the taker was killed', async () => {
    const [one, other] = [await Replica.start(['a']), await Replica.start(['a', 'b'])];
    const taker = await Replica.start(['a', 'b']);
    for (const giver of [one, other]) await giver.fill(1, 5);
    await one.handOver([taker]);
    other.log.cursor('b').settle(2);
    await taker.kill();
    expect(await other.handOver([taker])).toMatchObject({ requests: 5, left: undefined });
    expect(sorted(await taker.held(5))).toEqual([...owed(1, 5, 'a'), ...owed(3, 5, 'b')].toSorted());
    // All that this one delivers to, it has.
    expect(await taker.log.append(request(5))).toMatchObject({ repeat: true });
  });

  it('again, after a crash before it was noted, writes nothing again: not even to a taker that was killed, long after', async () => {
    const [giver, taker] = [await Replica.start(['a']), await Replica.start(['a'])];
    // Received half an hour before it is handed over: longer ago than a client's repeat is recognised.
    for (const { clock } of [giver, taker]) clock.advance(30 * 60_000);
    await giver.fill(1, 30);
    const place = giver.log.cursor('a');
    const handed: number[] = [];
    // The cursors of a giver that is killed in the middle of it: as they were.
    const forgetful = {
      ...giver.log,
      durableSeq: giver.log.durableSeq,
      cursor: () => ({
        ...place,
        settledSeq: 0,
        settleHanded: (seq: number) => handed.push(seq),
        flush: async () => undefined,
      }),
    };
    const peers = knowPeers([{ host: '127.0.0.1', port: taker.port }], token, 'the giver');
    await using reader = await openLogReader({ dir, files: giver.files });
    await handOver(
      { log: forgetful as unknown as OwnedLog, reader, destinations: ['a'] },
      peers,
      AbortSignal.timeout(10_000),
      () => undefined,
    );
    peers[Symbol.dispose]();
    expect(handed).toEqual([30]);
    await taker.kill();
    expect(await giver.handOver([taker])).toMatchObject({ requests: 30, left: undefined });
    expect(sorted(await taker.held(30))).toEqual(owed(1, 30, 'a'));
  });
});

describe('who cannot take it', () => {
  it('for now, as it stops or is full, is passed over for the next', async () => {
    const [giver, stopping, full, taker] = [
      await Replica.start(['a']),
      await Replica.start(['a']),
      await Replica.start(['a'], 16 * 1024),
      await Replica.start(['a']),
    ];
    await stopping.drain();
    await giver.fill(1, 60);
    expect(await giver.handOver([stopping, full, taker])).toMatchObject({ requests: 60, left: undefined });
    expect(await stopping.held(60)).toEqual([]);
    expect(sorted([...(await full.held(60)), ...(await taker.held(60))])).toEqual(owed(1, 60, 'a'));
  });

  it('because it has another list of destinations gets what it delivers, and another one the rest', async () => {
    const [giver, one, other] = [
      await Replica.start(['a', 'b', 'c']),
      await Replica.start(['a']),
      await Replica.start(['b']),
    ];
    await giver.fill(1, 8);
    const { left } = await giver.handOver([one, other]);
    expect(sorted(await one.held(8))).toEqual(owed(1, 8, 'a'));
    expect(sorted(await other.held(8))).toEqual(owed(1, 8, 'b'));
    expect(left).toMatchObject({ requests: 8, destinations: ['c'] });
    expect(['a', 'b', 'c'].map((name) => giver.log.cursor(name).settledSeq)).toEqual([8, 8, 0]);
  });

  it('all of them: what is left is told and stays, to be handed over or delivered after the next start', async () => {
    const [giver, stopping] = [await Replica.start(['a']), await Replica.start(['a'])];
    await stopping.drain();
    await giver.fill(1, 20);
    giver.log.cursor('a').settle(5);
    const { requests, left } = await giver.handOver([stopping], 1_000);
    const rest = Array.from({ length: 15 }, (_, at) => request(at + 6));
    expect(requests).toBe(0);
    expect(left).toEqual({
      requests: 15,
      records: rest.reduce((sum, { records }) => sum + records, 0),
      bytes: rest.flatMap(({ pieces }) => pieces).reduce((sum, { byteLength }) => sum + byteLength, 0),
      destinations: ['a'],
      uncounted: 0,
      reason: `127.0.0.1:${stopping.port}: this replica is stopping`,
    });
    await giver.reopen();
    expect(giver.log.cursor('a')).toMatchObject({ settledSeq: 5, handedSeq: 0 });
    const taker = await Replica.start(['a']);
    expect(await giver.handOver([taker])).toMatchObject({ requests: 15, left: undefined });
  });

  it('as the token is not its own: nothing is waited for', async () => {
    const [giver, stranger] = [await Replica.start(['a']), await Replica.start(['a'])];
    await giver.fill(1, 3);
    const { left } = await giver.handOver([stranger], 60_000, 'a-token-of-somebody');
    expect(left).toMatchObject({ requests: 3, reason: expect.stringContaining('token') });
    expect(await stranger.held(3)).toEqual([]);
  });

  it('two that stop give nothing to each other', async () => {
    const [one, other] = [await Replica.start(['a']), await Replica.start(['a'])];
    await one.fill(1, 5);
    await other.fill(6, 10);
    await Promise.all([one.drain(), other.drain()]);
    await Promise.all([one.handOver([other], 1_500), other.handOver([one], 1_500)]);
    expect([await one.held(10), await other.held(10)]).toEqual([owed(1, 5, ''), owed(6, 10, '')]);
  });

  it('in time is left aside when the time is over', async () => {
    const [giver, slow] = [await Replica.start(['a']), await Replica.start(['a'])];
    const answers = Promise.withResolvers<void>();
    slow.gate = answers.promise;
    await giver.fill(1, 5);
    // It may have them, and nobody knows: they stay owed here.
    expect((await giver.handOver([slow], 1_000)).left).toMatchObject({ requests: 5 });
    expect(giver.log.cursor('a').settledSeq).toBe(0);
    answers.resolve();
    expect(await giver.handOver([slow])).toMatchObject({ requests: 5, left: undefined });
    expect(sorted(await slow.held(5))).toEqual(owed(1, 5, 'a'));
  });
});

it('one that starts meanwhile is found', async () => {
  const [giver, late] = [await Replica.start(['a']), await Replica.start(['a'])];
  await giver.fill(1, 5);
  const addresses = [{ port: 1 }];
  const found = { port: late.port };
  setTimeout(() => addresses.push(found), 300);
  const peersNow = () =>
    knowPeers(
      addresses.map(({ port }) => ({ host: '127.0.0.1', port })),
      token,
      'the giver',
    );
  await using reader = await openLogReader({ dir, files: giver.files });
  const peers = { find: () => peersNow().find(), [Symbol.dispose]: () => undefined };
  const { left } = await handOver(
    { log: giver.log, reader, destinations: ['a'] },
    peers,
    AbortSignal.timeout(10_000),
    () => undefined,
  );
  expect(left).toBeUndefined();
  expect(sorted(await late.held(5))).toEqual(owed(1, 5, 'a'));
});
