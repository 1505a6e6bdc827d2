import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Signal, signals } from '../../src/base/index.ts';
import { eventually, getJson, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { exportRecord, isStored, type Protocol, protocols, storedTimes } from '../kit/records.ts';

// One record of each signal over each protocol into the real process; then the process ends as processes end.

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let running: Running;
const sent: { signal: Signal; protocol: Protocol; id: string }[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  running = await startProcess({ dataDir: folder.path });
});
afterAll(async () => {
  await running?.stop('SIGKILL');
  await folder?.[Symbol.asyncDispose]();
});

const routes = signals.flatMap((signal) => protocols.map((protocol) => ({ signal, protocol })));

describe('a record comes back', () => {
  it.each(routes)('$signal over $protocol', async ({ signal, protocol }) => {
    const id = await exportRecord(running, signal, protocol);
    sent.push({ signal, protocol, id });
    await eventually(() => isStored(running, signal, id), Boolean);
  });
});

describe.each(['SIGKILL', 'SIGTERM'] as const)('after %s', (how) => {
  it('ends', async () => {
    // Acknowledged a moment before the end, and in no store yet: the log has them.
    for (const route of routes) sent.push({ ...route, id: await exportRecord(running, route.signal, route.protocol) });
    const end = await running.stop(how);
    if (how === 'SIGKILL') expect(end.signal).toBe('SIGKILL');
    else expect(end).toMatchObject({ code: 0, signal: null });
    if (how === 'SIGTERM') expect(end.tookMs).toBeLessThan(25_000);
    running = await startProcess({ dataDir: folder.path });
  });

  it.each(routes)('each $signal over $protocol is there, once', async ({ signal, protocol }) => {
    for (const record of sent.filter((one) => one.signal === signal && one.protocol === protocol)) {
      await eventually(() => isStored(running, signal, record.id), Boolean);
      expect(await storedTimes(running, signal, record.id)).toBe(1);
    }
  });
});

it('stores equal lines without any time each, under an id of its own that a crash does not change', async () => {
  const line = `no time ${randomBytes(8).toString('hex')}`;
  const request = { resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: line } }] }] }] };
  const post = () =>
    fetch(`${running.otlpHttp}/v1/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
    });
  const ids = async () => {
    const { logs } = (await getJson(running.http, '/api/v1/logs', { query: `"${line}"` })) as {
      logs: { id: string }[];
    };
    return logs.map(({ id }) => id).sort();
  };
  for (let time = 0; time < 2; time++) expect((await post()).status).toBe(200);
  const before = await eventually(ids, (found) => found.length === 2);
  expect(new Set(before).size).toBe(2);
  await running.stop('SIGKILL');
  running = await startProcess({ dataDir: folder.path });
  expect(await eventually(ids, (found) => found.length >= 2)).toEqual(before);
});

it('stores what a client sends again only once', async () => {
  for (const protocol of protocols) {
    const id = await exportRecord(running, 'logs', protocol, { times: 2 });
    await eventually(() => isStored(running, 'logs', id), Boolean);
    expect(await storedTimes(running, 'logs', id)).toBe(1);
  }
});
