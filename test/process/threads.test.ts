import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eventually, getJson, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { exportRecord, isStored } from '../kit/records.ts';

// A destination in a thread. The far side is a second process of ours: an OTLP receiver like any other.

it('delivers from a thread, keeps what it cannot deliver, and tells so', async () => {
  await using folder = await temporaryFolder();
  await using processes = new AsyncDisposableStack();
  const start = async (name: string, env: Record<string, string>): Promise<Running> => {
    const running = await startProcess({ dataDir: join(folder.path, name), env });
    processes.defer(async () => void (await running.stop('SIGKILL')));
    return running;
  };
  const far = await start('far', {});
  const near = await start('near', { WATCHINGCAT_JAEGER_OTLP_ENDPOINT: `http://${far.otlpGrpc}` });
  const send = () => exportRecord(near, 'traces', 'grpc');
  const first = await send();
  await eventually(() => isStored(far, 'traces', first), Boolean);

  // What is only written to cannot be asked here.
  const answer = await fetch(`${near.http}/api/v1/traces`);
  expect(answer.status).toBe(501);
  expect(((await answer.json()) as { detail: string }).detail).toContain('WATCHINGCAT_JAEGER_QUERY_ENDPOINT');

  await far.stop();
  const second = await send();
  const health = (await eventually(
    () => getJson(near.http, '/health'),
    (report) => (report as Health).destinations['jaeger']?.lastError !== null,
  )) as Health;
  expect(health.destinations['jaeger']).toMatchObject({ pendingBytes: expect.anything() });

  // Killed meanwhile: it is still owed, and delivered once the far side is back.
  await near.stop('SIGKILL');
  const farAgain = await start('far', { WATCHINGCAT_OTLP_GRPC_PORT: far.otlpGrpc.split(':').at(-1)! });
  await start('near', { WATCHINGCAT_JAEGER_OTLP_ENDPOINT: `http://${far.otlpGrpc}` });
  await eventually(() => isStored(farAgain, 'traces', second), Boolean);
  expect(await isStored(farAgain, 'traces', first)).toBe(true);
});

it('A15 a name that nobody knows is asked for again and again', async () => {
  await using folder = await temporaryFolder();
  const running = await startProcess({
    dataDir: folder.path,
    env: { WATCHINGCAT_JAEGER_OTLP_ENDPOINT: 'http://nowhere.invalid:4317' },
  });
  try {
    await exportRecord(running, 'traces', 'grpc');
    const { destinations } = (await eventually(
      () => getJson(running.http, '/api/v1/pipeline/status'),
      (status) => (status as Status).destinations.some(({ failures }) => failures > 1),
    )) as Status;
    const jaeger = destinations.find(({ destination }) => destination === 'jaeger');
    expect(jaeger).toMatchObject({ signal: 'traces', state: 'retrying', pendingRequests: 1 });
    expect(jaeger?.lastError).toMatch(/ENOTFOUND|EAI_AGAIN/);
  } finally {
    await running.stop('SIGKILL');
  }
});

interface Status {
  readonly destinations: readonly {
    readonly destination: string;
    readonly failures: number;
    readonly lastError: string | null;
  }[];
}
interface Health {
  readonly destinations: Record<string, { readonly lastError: string | null }>;
}
