import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startSink } from '../kit/load.ts';
import { eventually, startProcess, temporaryFolder } from '../kit/process.ts';
import { freePort, runProgram } from '../kit/program.ts';
import { type Entry, Ledger } from './ledger.ts';
import { type Answers, answersTo, isAccepted, isRetryable } from './refusal.ts';

// Needs root for a file system of its own. Continuous integration has it, so that the test fails there where it cannot run.
const mayMount = process.getuid?.() === 0 || process.env['CI'] !== undefined;

it.runIf(mayMount)(
  'A6 a full disk: refuses in a way that clients repeat, takes again by itself, loses nothing',
  async () => {
    await using folder = await temporaryFolder();
    await using disk = await smallDisk(join(folder.path, 'disk'), 768);
    const sinkPort = await freePort();
    await using running = await startDisposable(disk.path, {
      WATCHINGCAT_FORWARD_OTLP_ENDPOINT: `http://127.0.0.1:${sinkPort}`,
      WATCHINGCAT_EMBEDDED: 'off',
    });
    const ledger = new Ledger(join(folder.path, 'ledger'));
    const acknowledged: Entry[] = [];
    const send = async (): Promise<Answers> => {
      const [http, grpc] = [ledger.open('logs', 0), ledger.open('logs', 0)];
      const answers = await answersTo(running, 'logs', { http: http.body, grpc: grpc.body });
      if (answers.http.status === 200) acknowledged.push(http);
      if (answers.grpc.code === 0) acknowledged.push(grpc);
      return answers;
    };
    expect(await send()).toSatisfy(isAccepted);

    // Fill it to the last page, as a neighbour on the same volume would.
    const filler = join(disk.path, 'filler');
    const { bavail, bsize } = statfsSync(disk.path);
    try {
      writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - bsize)), { flag: 'w' });
    } catch (thrown) {
      // The process fills the file of its next segment meanwhile: full is full.
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
    }
    const refused = await eventually(send, isRetryable, 30_000);
    expect(refused).toSatisfy(isRetryable);
    const health = (await (await fetch(`${running.http}/health`)).json()) as { status: string };
    expect(health.status).toBe('unavailable');
    expect((await fetch(`${running.http}/health/live`)).status).toBe(200);

    rmSync(filler);
    await eventually(send, isAccepted, 15_000);
    await using sink = await startSink(join(folder.path, 'sink.log'), { grpcPort: sinkPort });
    const wanted = acknowledged.length * 8;
    await eventually(
      () => sink.count('logs'),
      (count) => count >= wanted,
      60_000,
    );
    expect(await sink.count('logs')).toBe(wanted);
    ledger.close();
  },
);

/** A tmpfs of so many MiB; unmounted when the scope is left. */
async function smallDisk(path: string, mebibytes: number): Promise<{ path: string } & AsyncDisposable> {
  await runProgram('mkdir', ['-p', path]);
  await runProgram('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path]);
  return { path, [Symbol.asyncDispose]: async () => void (await runProgram('umount', ['-l', path])) };
}

async function startDisposable(dataDir: string, env: Record<string, string>) {
  const running = await startProcess({ dataDir, env });
  return Object.assign(running, { [Symbol.asyncDispose]: async () => void (await running.stop('SIGKILL')) });
}
