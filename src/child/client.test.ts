import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { Fault, systemClock } from '../base/index.ts';
import { jsonToProtobuf } from '../otlp/index.ts';
import type { LogRow } from '../stores/contract.ts';
import { openLog } from '../wal/index.ts';
import { type EmbeddedChild, startEmbeddedChild } from './index.ts';

// The real child with the real store, over a real log.

const closing: (() => PromiseLike<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'watchingcat-child-'));
  closing.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const startUnixNano = BigInt(Date.now()) * 1_000_000n - 60_000_000_000n;
const range = { startUnixNano: startUnixNano - 1_000_000_000n, endUnixNano: startUnixNano + 3_600_000_000_000n };
const never = new AbortController().signal;

async function openParts(dir: string) {
  const log = await openLog({ dir: join(dir, 'log'), signal: 'logs', maxBytes: 64 << 20, clock: systemClock });
  closing.push(() => log[Symbol.asyncDispose]());
  let next = 0;
  const told: string[] = [];
  const start = async (): Promise<EmbeddedChild> => {
    const child = await startEmbeddedChild({
      logs: [{ log, dir: join(dir, 'log') }],
      store: {
        folder: join(dir, 'store'),
        signals: new Set(['logs']),
        retentionMs: { traces: 1e9, metrics: 1e9, logs: 1e9 },
      },
      deadLetters: { add: async () => true },
      observer: {
        sent: (_, records) => told.push(`sent ${records}`),
        failed: () => {},
        refused: (_, records) => told.push(`refused ${records}`),
        skipped: () => {},
      },
      logger: {
        debug: () => {},
        info: () => {},
        warn: (_, message) => told.push(message),
        error: (_, message) => told.push(message),
      },
    });
    closing.push(() => child.stop(10_000));
    return child;
  };
  /** Appends a request with so many log records; their bodies count up. */
  const append = async (records: number): Promise<void> => {
    const logRecords = Array.from({ length: records }, () => {
      const index = next++;
      return { timeUnixNano: String(startUnixNano + BigInt(index)), body: { stringValue: `line ${index}` } };
    });
    const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] };
    const request = { resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] };
    const body = jsonToProtobuf('logs', Buffer.from(JSON.stringify(request)));
    await log.append({
      tenant: '',
      digest: randomBytes(16),
      receivedUnixNano: systemClock.nowUnixNano(),
      records,
      pieces: [body],
      answer: { rejected: 0, message: '' },
      recognise: true,
    });
  };
  return { log, start, append, told, appended: () => next };
}

async function lines(child: EmbeddedChild): Promise<string[]> {
  const found = await child.readers.logs!.search(
    { range, filter: { kind: 'all' }, order: 'asc', limit: 1000, cursor: undefined },
    never,
  );
  return found.items.map((row: LogRow) => String(row.body));
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `line ${index}`);

/** Until an answer is what it should be; a child that is away answers `unavailable`. */
async function eventually(answer: () => Promise<unknown>, expected: unknown): Promise<void> {
  const end = performance.now() + 15_000;
  for (;;) {
    let got: unknown;
    try {
      got = await answer();
      if (JSON.stringify(got) === JSON.stringify(expected)) return;
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.code !== 'unavailable') throw thrown;
      got = thrown;
    }
    if (performance.now() > end) expect(got).toEqual(expected);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('the embedded store in a process of its own', () => {
  it('is fed from the log and answers, survives the loss of its process, and stops with everything safe', async () => {
    const parts = await openParts(await folder());
    await parts.append(2);
    const child = await parts.start();
    await parts.append(3);
    await eventually(() => lines(child), numbered(5));
    await eventually(async () => child.stats().logs?.state, 'idle');
    expect(parts.told.filter((line) => line.startsWith('sent')).length).toBeGreaterThan(0);

    // The process dies: calls that wait end with a Fault, then everything is there again, once.
    const { pid } = child;
    process.kill(pid!, 'SIGKILL');
    const inBetween = await lines(child).catch((thrown: unknown) => thrown);
    expect(inBetween).toBeInstanceOf(Fault);
    expect(inBetween).toMatchObject({ code: 'unavailable' });
    expect((inBetween as Fault).retryAfterMs).toBeGreaterThan(0);
    await parts.append(1);
    // The first answer of the next process has what was only in the memory of the last.
    let first: string[] = [];
    await eventually(async () => {
      first = await lines(child);
      return true;
    }, true);
    expect(first.slice(0, 5)).toEqual(numbered(5));
    await eventually(() => lines(child), numbered(6));
    expect(child.pid).not.toBe(pid);

    // A Fault of the store crosses as it is.
    const badCursor = { range, filter: { kind: 'all' }, order: 'asc', limit: 1, cursor: 'forged' } as const;
    await expect(child.readers.logs!.search(badCursor, never)).rejects.toMatchObject({
      code: 'malformed',
      parameter: 'cursor',
    });
    await expect(
      child.readers.logs!.search({ ...badCursor, cursor: undefined }, AbortSignal.abort(new Error('left'))),
    ).rejects.toThrow('left');

    await child.rollAll();
    await eventually(async () => parts.log.cursor('embedded').settledSeq, parts.log.durableSeq);

    await Promise.all([child.stop(10_000), child.stop(10_000)]);
    expect(child.pid).toBeUndefined();
    await expect(lines(child)).rejects.toMatchObject({ code: 'unavailable' });
    const again = await parts.start();
    await parts.append(1);
    await eventually(() => lines(again), numbered(7));
  });

  it('removes what was received before, and says so while its process is away', async () => {
    const parts = await openParts(await folder());
    await parts.append(2);
    const child = await parts.start();
    await eventually(() => lines(child), ['line 0', 'line 1']);
    await parts.append(3);
    // Acknowledged, but not delivered yet.
    expect(await child.eraseByResource('service.name', 'other', never)).toEqual({ traces: 0, metrics: 0, logs: 0 });
    expect(await child.eraseByResource('service.name', 'shop', never)).toEqual({ traces: 0, metrics: 0, logs: 5 });
    expect(await lines(child)).toEqual([]);

    process.kill(child.pid!, 'SIGKILL');
    await expect(child.eraseByResource('service.name', 'shop', never)).rejects.toMatchObject({ code: 'unavailable' });
    await parts.append(1);
    await eventually(() => lines(child), ['line 5']);
    await expect(child.eraseByResource('service.name', 'shop', AbortSignal.abort(new Error('left')))).rejects.toThrow(
      'left',
    );
  });

  it('says why it cannot open its store', async () => {
    const dir = await folder();
    await writeFile(join(dir, 'store'), 'a file where the folder should be');
    const parts = await openParts(dir);
    await expect(parts.start()).rejects.toBeInstanceOf(Fault);
  });

  it('ends with its parent, even one that is killed, and lets the next parent in', async () => {
    const dir = await folder();
    const parent: ChildProcess = fork(fileURLToPath(new URL('./orphan.fixture.ts', import.meta.url)), [dir], {
      execArgv: [],
    });
    const pid = await new Promise<number>((resolve, reject) => {
      parent.once('message', (message) => resolve(Number(message)));
      parent.once('exit', () => reject(new Error('the parent ended too soon')));
    });
    expect(alive(pid)).toBe(true);
    parent.kill('SIGKILL');
    const parts = await openParts(dir);
    const child = await parts.start();
    await eventually(() => lines(child), []);
    expect(alive(pid)).toBe(false);
  });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // One that ended and that nobody has asked about still has its number.
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
