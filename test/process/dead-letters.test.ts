import { join } from 'node:path';
import { expect, it } from 'vitest';
import { attributes } from '../../src/cli/otlp/json.ts';
import { eventually, getJson, type Running, runCommand, startProcess, temporaryFolder } from '../kit/process.ts';
import { exportRecord, isStored } from '../kit/records.ts';

// Letters that destinations of a real process have written, over the command.

it('what a store refuses is listed with its reason, and stays where it is refused again', async () => {
  await using folder = await temporaryFolder();
  const running = await startProcess({ dataDir: join(folder.path, 'data') });
  const run = (...args: string[]) => runCommand(args, { env: { WATCHINGCAT_ENDPOINT: running.http } });
  try {
    expect(await run('dead-letters', 'list')).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('No dead letters'),
    });
    await sendNameless(running);
    const good = await exportRecord(running, 'metrics', 'grpc');
    await eventually(() => isStored(running, 'metrics', good), Boolean);
    const { deadLetters } = (await eventually(
      () => getJson(running.http, '/api/v1/pipeline/dead-letters'),
      (found) => (found as Letters).total > 0,
    )) as Letters;
    expect(deadLetters).toMatchObject([{ destination: 'embedded', signal: 'metrics', records: 1 }]);

    const listed = await run('dead-letters', 'list', '--destination', 'embedded');
    expect(listed).toMatchObject({ code: 0, stdout: expect.stringContaining(deadLetters[0]!.reason) });
    expect((await run('dead-letters', 'list', '--signal', 'logs', '--json')).stdout).toContain('"total": 0');

    const replayed = await run('dead-letters', 'replay', '--json');
    expect(replayed.code).toBe(1);
    expect(JSON.parse(replayed.stdout)).toEqual({
      replayed: 0,
      left: [{ id: deadLetters[0]!.id, destination: 'embedded', reason: expect.any(String), refused: true }],
      remaining: 0,
    });
    expect(((await getJson(running.http, '/api/v1/pipeline/dead-letters')) as Letters).total).toBe(1);
    expect((await run('dead-letters', 'list', '--signal', 'nonsense')).code).toBe(2);
  } finally {
    await running.stop('SIGKILL');
  }
});

it('what there is no room for is counted, named in the log and degrades health', async () => {
  await using folder = await temporaryFolder();
  const running = await startProcess({
    dataDir: join(folder.path, 'data'),
    env: { WATCHINGCAT_DEAD_LETTERS_MAX_BYTES: '1KiB' },
  });
  try {
    await sendNameless(running);
    const found = (await eventually(
      () => getJson(running.http, '/api/v1/pipeline/dead-letters'),
      (letters) => (letters as Letters).dropped > 0,
    )) as Letters;
    expect(found).toMatchObject({ total: 0, dropped: 1 });
    expect(await getJson(running.http, '/health')).toMatchObject({ status: 'degraded' });
    expect(running.output()).toContain('there is no room for further dead letters');
  } finally {
    await running.stop('SIGKILL');
  }
});

/** A metric that Prometheus has no name for. */
async function sendNameless(to: Running): Promise<void> {
  const points = [{ attributes: attributes({}), timeUnixNano: `${BigInt(Date.now()) * 1_000_000n}`, asDouble: 1 }];
  const metrics = [{ name: '…', gauge: { dataPoints: points } }];
  const answer = await fetch(`${to.otlpHttp}/v1/metrics`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] }),
  });
  expect(answer.status).toBe(200);
}

interface Letters {
  readonly deadLetters: readonly { readonly id: number; readonly reason: string }[];
  readonly total: number;
  readonly dropped: number;
}
