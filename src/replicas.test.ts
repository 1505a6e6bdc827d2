import { expect, it, onTestFinished } from 'vitest';
import { TestClock } from '../test/kit/log-kit.ts';
import type { Signal } from './base/index.ts';
import type { DeliveryStats } from './deliver/index.ts';
import { joinReplicas } from './replicas.ts';
import type { OwnedLog } from './wal/index.ts';

const durableSeq = 5;
type Loop = NonNullable<DeliveryStats[Signal]>;

/** @param behind By name: how long it has failed, in milliseconds; undefined: it is at it. What is not named has all. */
async function replica(clock: TestClock, behind: Readonly<Record<string, number | undefined>>) {
  const loops = new Map<string, { settledSeq: number; failingSinceUnixMs: number | undefined }>();
  for (const [name, failingMs] of Object.entries(behind)) {
    const failingSinceUnixMs = failingMs === undefined ? undefined : clock.nowMs() - failingMs;
    loops.set(name, { settledSeq: durableSeq - 1, failingSinceUnixMs });
  }
  const log = { durableSeq } as OwnedLog;
  const replicas = await joinReplicas(
    { host: '127.0.0.1', peers: { names: [], port: 0, token: 'a-token-of-replicas' } },
    {
      logs: { traces: log, metrics: log, logs: log },
      logDir: () => '',
      destinations: ['embedded', 'jaeger', 'elasticsearch'].map((name) => ({
        name,
        takes: new Set<Signal>(['logs']),
        stats: () => ({ logs: (loops.get(name) ?? { settledSeq: durableSeq }) as Loop }),
      })),
      counters: { takenOver: () => undefined, handedOver: () => undefined },
      clock,
      answer: async () => ({ status: 404, text: '{}' }),
      logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
    },
  );
  onTestFinished(() => replicas[Symbol.asyncDispose]());
  return { loops, replicas };
}

it.each<{ name: string; behind: Record<string, number | undefined> }>([
  { name: 'nothing is held', behind: {} },
  { name: 'the embedded store alone is behind: nobody else could give it that', behind: { embedded: undefined } },
  { name: 'those that are behind are away', behind: { jaeger: 3_001, elasticsearch: 60_000 } },
])('a stop does not wait where $name', async ({ behind }) => {
  const { replicas } = await replica(new TestClock(), behind);
  await replicas.deliverHeld();
});

it('a stop waits for what is being delivered, and for that only so long', async () => {
  const clock = new TestClock();
  const { loops, replicas } = await replica(clock, { jaeger: undefined, elasticsearch: 1_000 });
  let done = 0;
  const waiting = replicas.deliverHeld().then(() => done++);
  loops.delete('jaeger');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(done).toBe(0);
  clock.advance(2_500); // by now it is away
  await waiting;

  const again = await replica(clock, { jaeger: undefined });
  const inVain = again.replicas.deliverHeld();
  clock.advance(30_001);
  await inVain;
});
