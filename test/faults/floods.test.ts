import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ListenerStats } from '../../src/receive/index.ts';
import { selfSigned } from '../kit/certificate.ts';
import { floods, untilClosed } from '../kit/floods.ts';
import { eventually } from '../kit/process.ts';
import { grpcFrame, rawGrpc } from '../kit/receivers.ts';
import { memoryMebibytes } from '../kit/usage.ts';
import { answered, startWorld } from './world.ts';

// What comes by the thousand, for a while, and means no well. Those who do are answered all the time, and afterwards the process
// is as large as it was before.

const lanes = 50;
/** What a process may have kept of a flood a minute after it. */
const keptMebibytesMax = 10;

/** Does it again and again, on so many lanes at once. */
async function forSeconds(seconds: number, what: () => Promise<unknown>): Promise<void> {
  const untilMs = performance.now() + seconds * 1000;
  const lane = async () => {
    while (performance.now() < untilMs) await what();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Resident memory of all that belongs to a process, at rest: the least within the time in which it is given back. */
async function atRest(pid: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let second = 0; second < 45; second++) {
    await sleep(1000);
    least = Math.min(least, memoryMebibytes(pid).now);
  }
  return least;
}

async function expectBack(pid: number, before: number): Promise<void> {
  let kept = Number.POSITIVE_INFINITY;
  for (let second = 0; second < 60 && kept > keptMebibytesMax; second++) {
    await sleep(1000);
    kept = memoryMebibytes(pid).now - before;
  }
  expect(kept).toBeLessThanOrEqual(keptMebibytesMax);
}

interface TlsDoors extends Disposable {
  readonly pid: number;
  readonly grpc: number;
  readonly http: number;
  stats(): Promise<{ readonly grpc: ListenerStats; readonly http: ListenerStats }>;
}

async function startTlsDoors(tls: {
  cert: string;
  key: string;
  ca?: string;
  requestCert?: boolean;
}): Promise<TlsDoors> {
  const child = fork(fileURLToPath(new URL('./tls-doors.ts', import.meta.url)));
  const ask = async (question: object) => {
    child.send(question);
    const [answer] = await once(child, 'message');
    return answer;
  };
  const ports = (await ask(tls)) as { grpc: number; http: number };
  return {
    pid: child.pid as number,
    ...ports,
    stats: async () => (await ask({})) as Awaited<ReturnType<TlsDoors['stats']>>,
    [Symbol.dispose]: () => child.kill(),
  };
}

const message = Buffer.from([10, 0]);

describe('B25 floods over HTTP/2', () => {
  it('each ends its connection, good requests are answered in between, and memory comes back', async () => {
    await using world = await startWorld();
    const { pid } = world.running;
    await forSeconds(10, () => rawGrpc(world.grpcPort, [grpcFrame(message)]));
    for (let i = 0; i < 20; i++) expect(await world.wellMeant()).toBe(answered);
    const before = await atRest(pid);
    for (const [name, bytes] of floods) {
      const flooding = forSeconds(5, () => untilClosed(world.grpcPort, bytes));
      for (let i = 0; i < 3; i++) expect([name, await world.wellMeant()]).toEqual([name, answered]);
      await flooding;
      expect([name, await world.wellMeant()]).toEqual([name, answered]);
    }
    await expectBack(pid, before);
    await eventually(
      () => world.metric('watchingcat_receiver_connections{listener="grpc"}'),
      (open) => open === 0,
    );
    expect(await world.metric('watchingcat_receiver_held_bytes')).toBe(0);
    expect(await world.lost()).toEqual([]);
    expect(world.running.output()).not.toMatch(/"level":"(error|fatal)"/);
  });

  it('malformed HEADERS over TLS likewise', async () => {
    const certificate = selfSigned();
    const trust = certificate.cert;
    using doors = await startTlsDoors(certificate);
    const well = () => rawGrpc(doors.grpc, [grpcFrame(message)], {}, { trust });
    await forSeconds(10, well);
    const before = await atRest(doors.pid);
    const malformed = floods.find(([name]) => name === 'malformed HEADERS')![1];
    const flooding = forSeconds(10, () => untilClosed(doors.grpc, malformed, trust));
    for (let i = 0; i < 5; i++) expect((await well()).grpcStatus).toBe(0);
    await flooding;
    expect((await well()).grpcStatus).toBe(0);
    await expectBack(doors.pid, before);
  });
});
