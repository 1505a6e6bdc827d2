import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Collector, startCollector } from '../kit/collector.ts';
import { type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { exportPath, GrpcPeer } from '../kit/receivers.ts';
import { decodeResponse } from '../kit/response.ts';
import { type Case, corpus, mutations } from './corpus.ts';
import { type Answer, expectedDifference } from './differences.ts';

// The same bytes to the real Collector and to us: both must accept, or both refuse. Where we differ on purpose stands,
// with the reason, in differences.ts.

const seed = Number(process.env['WATCHINGCAT_TEST_SEED'] ?? 1);

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let running: Running;
let collector: Collector;

beforeAll(async () => {
  folder = await temporaryFolder();
  running = await startProcess({ dataDir: join(folder.path, 'data') });
  collector = await startCollector({
    folder: join(folder.path, 'collector'),
    exporters: '{nop: {}}',
    pipelines: { traces: ['nop'], metrics: ['nop'], logs: ['nop'] },
  });
});
afterAll(async () => {
  await collector?.stop();
  await running?.stop();
  await folder?.[Symbol.asyncDispose]();
});

describe.each(['http', 'grpc'] as const)('over %s we accept and refuse what the Collector does', (protocol) => {
  const cases = (all: readonly Case[]): Case[] =>
    all.filter(({ encoding }) => protocol === 'http' || encoding === 'protobuf');

  it.each(cases(corpus()).map((one) => [`${one.signal}, ${one.encoding}, ${one.name}`, one] as const))(
    '%s',
    async (_, one) => {
      expect((await unexpected([one], protocol)).join('\n')).toBe('');
    },
  );

  it(`mutations of protobuf, seed ${seed}`, async () => {
    expect((await unexpected(mutations('protobuf', 400, seed), protocol)).join('\n')).toBe('');
  });

  if (protocol === 'grpc') return; // which has no JSON
  it(`mutations of JSON, seed ${seed}`, async () => {
    expect((await unexpected(mutations('json', 400, seed), protocol)).join('\n')).toBe('');
  });
});

/** One line for each case in which the answers differ and no reason for it is listed. */
async function unexpected(cases: readonly Case[], protocol: 'http' | 'grpc'): Promise<string[]> {
  const ask = protocol === 'http' ? overHttp : overGrpc;
  using theirPeer = new GrpcPeer(Number(collector.grpc.split(':').at(-1)));
  using ourPeer = new GrpcPeer(Number(running.otlpGrpc.split(':').at(-1)));
  const lines: string[] = [];
  for (const one of cases) {
    const theirs = await ask(one, `http://${collector.http}`, theirPeer);
    const ours = await ask(one, running.otlpHttp, ourPeer);
    if (theirs.accepted === ours.accepted || expectedDifference(one, theirs, ours) !== undefined) continue;
    lines.push(`${one.signal} ${one.encoding} ${one.name}: Collector ${said(theirs)}, we ${said(ours)}`);
  }
  return lines;
}

async function overHttp(one: Case, base: string): Promise<Answer> {
  const answer = await fetch(`${base}/v1/${one.signal}`, {
    method: 'POST',
    headers: { 'content-type': one.encoding === 'json' ? 'application/json' : 'application/x-protobuf' },
    body: Buffer.from(one.body),
    signal: AbortSignal.timeout(10_000),
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  if (!answer.ok) return { accepted: false, rejected: 0, message: bytes.toString('latin1') };
  return { accepted: true, ...decodeResponse(one.signal, bytes, one.encoding) };
}

async function overGrpc(one: Case, _: string, peer: GrpcPeer): Promise<Answer> {
  const answer = await peer.call(exportPath[one.signal], one.body, { deadline: Date.now() + 10_000 });
  if (answer.code !== 0) return { accepted: false, rejected: 0, message: `${answer.code} ${answer.details}` };
  return { accepted: true, ...decodeResponse(one.signal, answer.message ?? Buffer.alloc(0), 'protobuf') };
}

function said(answer: Answer): string {
  const verb = answer.accepted ? `accepts (${answer.rejected} rejected)` : 'refuses';
  return answer.message === '' ? verb : `${verb}: ${answer.message.slice(0, 150)}`;
}
