import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { freePort } from '../../test/kit/program.ts';
import { systemClock } from '../base/index.ts';
import { openLog } from '../wal/index.ts';
import { startStoreThread } from './index.ts';

// A store in a thread, over a real log; the far side is a port on which nobody listens. Delivery itself is tested where there
// is somebody: test/process/threads.test.ts and test/backends.

async function world(heapMiB?: number) {
  const stack = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'watchingcat-thread-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  const log = stack.use(await openLog({ dir, signal: 'traces', maxBytes: 64 << 20, clock: systemClock }));
  await log.append({
    tenant: '',
    digest: randomBytes(16),
    receivedUnixNano: systemClock.nowUnixNano(),
    records: 1,
    pieces: [Buffer.from([10, 0])],
    answer: { rejected: 0, message: '' },
    recognise: true,
  });
  const told: string[] = [];
  const logger = {
    debug() {},
    info() {},
    warn: (_: object, text: string) => told.push(text),
    error: (_: object, text: string) => told.push(text),
  };
  const failed: string[] = [];
  const options = async () => ({
    otlpEndpoint: `http://127.0.0.1:${await freePort()}`,
    access: { headers: {}, tls: undefined },
    version: '1',
  });
  const thread = await startStoreThread({
    name: 'jaeger',
    logs: [{ log, dir }],
    store: { kind: 'jaeger', options: await options() },
    answers: new Set(['traces']),
    deadLetters: { add: async () => true },
    observer: { sent() {}, refused() {}, skipped() {}, failed: (_, __, reason) => failed.push(reason) },
    logger,
    ...(heapMiB === undefined ? {} : { heapMiB }),
  });
  stack.defer(() => thread.stop(5_000));
  return { thread, told, failed, options, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

it('tells how it fares, goes on with other options, and stops', async () => {
  await using at = await world();
  const state = () => at.thread.stats().traces;
  await until(() => state()?.lastError?.includes('ECONNREFUSED') === true && at.failed.length > 0);
  expect(state()).toMatchObject({ state: 'retrying', pendingFrames: 1, settledSeq: 0 });
  const endpointBefore = state()?.lastError;
  at.thread.replace({ kind: 'jaeger', options: await at.options() });
  await until(() => state()?.lastError?.includes('ECONNREFUSED') === true && state()?.lastError !== endpointBefore);
  // Replacing is no death.
  expect(at.told).toEqual([]);
  // This store answers no question.
  const { traces } = at.thread.readers;
  await expect(traces!.trace('00', new AbortController().signal)).rejects.toMatchObject({ code: 'notConfigured' });
  await Promise.all([at.thread.stop(5_000), at.thread.stop(5_000)]);
  await expect(traces!.trace('00', new AbortController().signal)).rejects.toMatchObject({ code: 'unavailable' });
});

it('A30 a thread that runs out of memory is started again, and ends nothing else', async () => {
  await using at = await world(6);
  await until(() => at.told.length >= 2);
  expect(at.told[0]).toBe('the thread of the jaeger store ended; it is started again, and nothing is lost');
  expect(at.thread.stats().traces).toMatchObject({ state: 'retrying', settledSeq: 0 });
});

it('says why its store cannot be opened', async () => {
  await using at = await world();
  const { thread } = at;
  thread.replace({ kind: 'jaeger', options: { ...(await at.options()), otlpEndpoint: 'ftp://nowhere' } });
  await until(() => thread.stats().traces?.lastError?.includes('must begin with http') === true);
});
