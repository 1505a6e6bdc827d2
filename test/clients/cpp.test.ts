import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signals } from '../../src/base/index.ts';
import { encodeOtlp } from '../kit/otlp.ts';
import { type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { freePort, runProgram } from '../kit/program.ts';
import { exportPath } from '../kit/receivers.ts';
import { message, withBytes } from './message.ts';
import { expectSent } from './sent.ts';
import { cppClient } from './setup.ts';

// gRPC's C++ library, on which the clients of C++, Ruby, PHP and older Python stand: its own HTTP/2, its own way to send
// deadlines, compression and pings.

const full = { WATCHINGCAT_WAL_MAX_BYTES: `${128 * 2 ** 20}`, WATCHINGCAT_EMBEDDED: 'off' };

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let running: Running;
let program: string;
beforeAll(async () => {
  program = await cppClient();
  folder = await temporaryFolder();
  running = await startProcess({ dataDir: join(folder.path, 'data') });
});
afterAll(async () => {
  const ended = await running?.stop();
  await folder?.[Symbol.asyncDispose]();
  expect(ended?.code).toBe(0);
});

interface Answer {
  readonly code: number;
  readonly message: string;
  /** Hex: google.rpc.Status, and the response. */
  readonly details: string;
  readonly answer: string;
  readonly state?: number;
}

let written = 0;
/** Sends all bodies at once on one connection. */
async function send(
  bodies: readonly Uint8Array[],
  options: { signal?: keyof typeof exportPath; flags?: readonly string[]; to?: string } = {},
): Promise<readonly Answer[]> {
  const files = bodies.map(() => join(folder.path, `body-${written++}`));
  await Promise.all(files.map((file, index) => writeFile(file, bodies[index]!)));
  const target = options.to ?? running.otlpGrpc;
  const args = [target, exportPath[options.signal ?? 'logs'], ...(options.flags ?? []), ...files];
  return JSON.parse((await runProgram(program, args)).stdout) as Answer[];
}
const accepted = { code: 0, message: '', details: '', answer: '' };
const logs = (service: string) => encodeOtlp('logs', withBytes(message(service).requests.logs));

describe('C++ gRPC client', () => {
  it.each(['none', 'gzip', 'deflate'])('%s: traces, metrics and logs are queryable, once', async (compression) => {
    const { sent, requests } = message(`cpp-${compression}`);
    for (const signal of signals) {
      const body = encodeOtlp(signal, withBytes(requests[signal]));
      expect(await send([body], { signal, flags: ['--compression', compression] })).toEqual([accepted]);
    }
    await expectSent(running.http, sent);
  });

  it('100 calls at once on one connection: each is answered', async () => {
    const answers = await send(Array.from({ length: 100 }, (_, turn) => logs(`cpp-many-${turn % 4}`)));
    expect(answers).toEqual(Array(100).fill(accepted));
  });

  it('a request larger than any window, compressed and not', async () => {
    const line = { timeUnixNano: `${Date.now()}000000`, body: { stringValue: 'x'.repeat(50_000) } };
    const logRecords = Array.from({ length: 200 }, (_, i) => ({ ...line, severityNumber: 1 + (i % 24) }));
    const body = (name: string) =>
      encodeOtlp('logs', { resourceLogs: [{ scopeLogs: [{ scope: { name }, logRecords }] }] });
    expect(await send([body('a'), body('b')])).toEqual([accepted, accepted]);
    expect(await send([body('c')], { flags: ['--compression', 'gzip'] })).toEqual([accepted]);
  });

  it('B1, a request that is not OTLP: INVALID_ARGUMENT with what is wrong, and the next is taken', async () => {
    const [bad, good] = await send([Buffer.from('0a05ff', 'hex'), logs('cpp-after-bad')]);
    expect(bad).toMatchObject({ code: 3, answer: '' });
    expect(bad?.message).toMatch(/offset|byte|truncated/);
    expect(good).toEqual(accepted);
  });

  it('an unknown method: UNIMPLEMENTED', async () => {
    const file = join(folder.path, 'any');
    await writeFile(file, '');
    const { stdout } = await runProgram(program, [running.otlpGrpc, '/no.such.Service/Export', file]);
    expect(JSON.parse(stdout)).toMatchObject([{ code: 12 }]);
  });

  it('keepalive: an idle connection stays open over twenty pings and is used again', async () => {
    const answers = await send([logs('cpp-keepalive')], { flags: ['--keepalive-ms', '100', '--idle-ms', '2500'] });
    expect(answers).toEqual([accepted, accepted, { state: 2 }]);
  });

  it('a deadline that passes while the server stands still: DEADLINE_EXCEEDED, then all goes on', async () => {
    process.kill(running.pid, 'SIGSTOP');
    const late = send([logs('cpp-late')], { flags: ['--deadline-ms', '300'] });
    try {
      expect(await late).toMatchObject([{ code: 4 }]);
    } finally {
      process.kill(running.pid, 'SIGCONT');
    }
    expect(await send([logs('cpp-after-late')], { flags: ['--deadline-ms', '20000'] })).toEqual([accepted]);
  });

  it('a full log: UNAVAILABLE with RetryInfo', async () => {
    const env = { ...full, WATCHINGCAT_FORWARD_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}` };
    const small = await startProcess({ dataDir: join(folder.path, 'full'), env });
    try {
      const record = { timeUnixNano: `${Date.now()}000000`, body: { stringValue: 'x'.repeat(30_000) } };
      const logRecords = Array.from({ length: 500 }, () => record);
      let answers: readonly Answer[] = [];
      for (let round = 0; round < 20 && answers.every(({ code }) => code === 0); round++) {
        const scope = { name: `filling ${round}` };
        const body = encodeOtlp('logs', { resourceLogs: [{ scopeLogs: [{ scope, logRecords }] }] });
        answers = await send([body], { to: small.otlpGrpc });
      }
      expect(answers).toMatchObject([{ code: 14, answer: '' }]);
      expect(Buffer.from(answers[0]!.details, 'hex').toString('latin1')).toContain('google.rpc.RetryInfo');
    } finally {
      await small.stop('SIGKILL');
    }
  });

  it('the server stops: calls under way are answered, and the process ends by itself', async () => {
    const other = await startProcess({ dataDir: join(folder.path, 'stopping') });
    const calls = send(
      Array.from({ length: 50 }, (_, turn) => logs(`cpp-stop-${turn}`)),
      {
        to: other.otlpGrpc,
        flags: ['--idle-ms', '1500'],
      },
    );
    await sleep(700);
    const ended = other.stop();
    const answers = await calls;
    expect(answers.slice(0, 50)).toEqual(Array(50).fill(accepted));
    // The second round finds nobody there: refused for now, never half done.
    expect(new Set(answers.slice(50, 100).map(({ code }) => code))).toEqual(new Set([14]));
    expect((await ended).code).toBe(0);
  });
});
