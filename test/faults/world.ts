import { join } from 'node:path';
import { expect } from 'vitest';
import { portOf } from '../kit/bad-input.ts';
import { eventually, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { exportPath, GrpcPeer, post, rawHttp } from '../kit/receivers.ts';
import { Ledger } from './ledger.ts';

// A real process, and clients that mean well in the midst of others.

export interface World extends AsyncDisposable {
  readonly running: Running;
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Sends a request over each protocol, by a connection of its own: 'grpc 0, http 200' where both are acknowledged. */
  wellMeant(): Promise<string>;
  /** Of a counter or gauge, by its name and labels. */
  metric(name: string): Promise<number>;
  /** Spans of acknowledged requests that a reader does not find, or finds twice. */
  lost(): Promise<string[]>;
}
export const answered = 'grpc 0, http 200';

export async function startWorld(): Promise<World> {
  const folder = await temporaryFolder();
  const running = await startProcess({ dataDir: join(folder.path, 'data') });
  const [grpcPort, httpPort] = [portOf(running.otlpGrpc), portOf(running.otlpHttp)];
  const ledger = new Ledger(join(folder.path, 'ledger'));
  return {
    running,
    grpcPort,
    httpPort,
    async wellMeant() {
      const entries = [ledger.open('traces', 0), ledger.open('traces', 0)] as const;
      using peer = new GrpcPeer(grpcPort, { 'grpc.use_local_subchannel_pool': 1 });
      const call = peer.call(exportPath.traces, entries[0].body, { deadline: Date.now() + 20_000 });
      const answer = rawHttp(httpPort, post('/v1/traces', 'application/x-protobuf', entries[1].body), {
        untilClosed: false,
      });
      const [{ code }, { status }] = await Promise.all([call, answer]);
      if (code === 0) ledger.acknowledge(entries[0]);
      if (status === 200) ledger.acknowledge(entries[1]);
      return `grpc ${code}, http ${status}`;
    },
    async metric(name) {
      const text = await (await fetch(`${running.http}/metrics`)).text();
      const line = text.split('\n').find((each) => each.startsWith(`${name} `));
      return Number(line?.split(' ').at(-1));
    },
    lost: () => lostOf(running, ledger),
    async [Symbol.asyncDispose]() {
      const ended = await running.stop();
      ledger.close();
      await folder[Symbol.asyncDispose]();
      expect(ended.code).toBe(0);
    },
  };
}

async function lostOf(running: Running, ledger: Ledger): Promise<string[]> {
  const wrong: string[] = [];
  for (const { traceId, number } of ledger.entries.filter((entry) => entry.acknowledged)) {
    const found = await eventually(
      async () => (await fetch(`${running.http}/api/v1/traces/${traceId}`)).status,
      (status) => status === 200,
    ).catch(() => 404);
    if (found !== 200) wrong.push(`request ${number}`);
  }
  return wrong;
}
