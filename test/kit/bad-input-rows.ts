import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Answer, text } from './bad-input.ts';
import { type Plain, recordsOf } from './otlp-oracle.ts';
import { eventually, getJson } from './process.ts';
import { exportRecord, type Protocol } from './records.ts';
import { sharedProcess } from './shared-process.ts';

// Rows B1 to B22 against a real process: each is answered as the protocol demands, costs nothing but what is bad of it, and
// leaves a process that answers the next request.

export const binary = ['grpc', 'http/protobuf'] as const satisfies Protocol[];
export const http = ['http/protobuf', 'http/json'] as const satisfies Protocol[];
export const mebibyte = 1024 * 1024;

/** Refused, for good: in the status of the protocol, without a word of coming again. */
export function expectRefused(answer: Answer, httpStatus: number, code: number, says: RegExp): void {
  expect(answer).toMatchObject({ code, retry: false, message: expect.stringMatching(says) });
  if (answer.http !== undefined) expect(answer.http).toBe(httpStatus);
}

export const nowNanos = () => BigInt(Date.now()) * 1_000_000n;
export const newId = () => randomBytes(16).toString('hex');

/** A span of a trace; ids as bytes. */
export function spanOf(trace: string, members: Plain = {}): Plain {
  const now = nowNanos();
  return {
    traceId: Buffer.from(trace, 'hex'),
    spanId: randomBytes(8),
    name: 'span',
    startTimeUnixNano: String(now - 1_000_000n),
    endTimeUnixNano: String(now),
    ...members,
  };
}
export function logOf(id: string, members: Plain = {}, more: Plain[] = []): Plain {
  return { timeUnixNano: String(nowNanos()), ...members, attributes: [text('test.id', id), ...more] };
}

export interface Stored extends Plain {
  readonly attributes?: { key: string; value: Plain }[];
  readonly events?: Plain[];
}
export interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}
/** A name that no other test has, as it is in OTLP and in Prometheus. */
export const newName = () => `m${newId()}`;
export const gauge = (name: string, ...dataPoints: Plain[]): Plain => ({ name, gauge: { dataPoints } });
export const pointOf = (members: Plain): Plain => ({ timeUnixNano: String(nowNanos()), asDouble: 1, ...members });

/**
 * One process for all rows of a file, with what asks it. The file's last test sees that it is the one that was started.
 */
export function badInputProcess() {
  const running = sharedProcess();
  let startedSeconds: string;
  beforeAll(async () => {
    startedSeconds = await ownStart();
  });
  // Behind the tests that run beside each other, and before the process is stopped.
  afterAll(async () => {
    const health = (await getJson(running.http, '/health')) as { status: string };
    expect(health.status).toBe('ok');
    expect(await ownStart()).toBe(startedSeconds);
    expect(running.output()).not.toMatch(/"level":"?(?:error|fatal|50|60)\b/);
  });

  /** A test for each protocol; what it ends with is that a good request is answered well over the same. */
  function over<P extends Protocol>(list: readonly P[], row: string, test: (protocol: P) => Promise<void>): void {
    for (const protocol of list) it(`${row} (${protocol})`, () => withGoodEnd(protocol, test));
  }
  /** As `over`, beside its like: most of such a test is waiting for what it stored. */
  function atOnce<P extends Protocol>(list: readonly P[], row: string, test: (protocol: P) => Promise<void>): void {
    for (const protocol of list) it.concurrent(`${row} (${protocol})`, () => withGoodEnd(protocol, test));
  }
  async function withGoodEnd<P extends Protocol>(protocol: P, test: (protocol: P) => Promise<void>): Promise<void> {
    await test(protocol);
    await exportRecord(running, 'traces', protocol);
  }

  /** The spans of a trace as OTLP JSON, when there are so many. */
  async function spansOf(trace: string, count: number): Promise<Stored[]> {
    const ask = async () => {
      const answer = await fetch(`${running.http}/api/v1/traces/${trace}`);
      return answer.ok ? recordsOf('traces', (await answer.json()) as Plain) : [];
    };
    return (await eventually(ask, (found) => found.length === count)) as Stored[];
  }
  async function logsOf(id: string, count: number, range: Record<string, string> = {}): Promise<Plain[]> {
    const ask = async () => {
      const answer = await getJson(running.http, '/api/v1/logs', { query: `test.id="${id}"`, ...range });
      return (answer as { logs: Plain[] }).logs;
    };
    return eventually(ask, (found) => found.length === count);
  }

  async function vector(query: string, count: number, time?: string): Promise<Sample[]> {
    const ask = async () => {
      const answer = await getJson(running.http, '/api/v1/metrics/query', {
        query,
        ...(time === undefined ? {} : { time }),
      });
      return (answer as { data: { result: Sample[] } }).data.result;
    };
    return eventually(ask, (found) => found.length === count);
  }

  async function ownStart(): Promise<string> {
    const metrics = await (await fetch(`${running.http}/metrics`)).text();
    return /^process_start_time_seconds(?:\{[^}]*\})? (\S+)$/m.exec(metrics)?.[1] ?? 'none';
  }

  return { running, over, atOnce, spansOf, logsOf, vector };
}
