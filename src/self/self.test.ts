import { fork } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../base/index.ts';
import {
  assessHealth,
  createMetrics,
  type LoopState,
  type OwnMetrics,
  ownMetrics,
  PipelineCounters,
  PipelineLedger,
} from './index.ts';
import { failingDegradedMs } from './limits.ts';

describe('health', () => {
  const fine: LoopState = { lagSeconds: 0, pendingBytes: 0, lastError: undefined, failingSinceUnixMs: undefined };
  const nowMs = 1_000_000;
  const failing = (forMs: number): LoopState => ({
    lagSeconds: 3,
    pendingBytes: 10,
    lastError: 'ECONNREFUSED',
    failingSinceUnixMs: nowMs - forMs,
  });
  const long = failingDegradedMs;
  it.each([
    { name: 'no destination', loops: [], is: 'ok' },
    { name: 'all well', loops: [fine, fine], is: 'ok' },
    { name: 'failing for a moment', loops: [failing(long - 1)], is: 'ok' },
    { name: 'one signal of two failing', loops: [fine, failing(long)], is: 'degraded' },
    { name: 'every signal failing', loops: [failing(long), failing(long)], is: 'degraded' },
    { name: 'dead letters without room', loops: [fine], concerns: true, is: 'degraded' },
    { name: 'a log that refuses', loops: [fine], refusing: true, is: 'unavailable' },
    { name: 'a log that refuses outweighs', loops: [failing(long)], refusing: true, is: 'unavailable' },
  ])('$name: $is', ({ loops, is, refusing = false, concerns = false }) => {
    const [traces, logs] = loops;
    const destinations = [
      { name: 'otlp', trouble: undefined, loops: { ...(traces && { traces }), ...(logs && { logs }) } },
    ];
    expect(assessHealth({ refusing, concerns, destinations, nowMs }).status).toBe(is);
  });
  it('of a destination: the longest lag, all that waits, and what is wrong', () => {
    const destinations = [
      {
        name: 'otlp',
        trouble: undefined,
        loops: { traces: { ...fine, lagSeconds: 9, pendingBytes: 5 }, logs: failing(long) },
      },
      { name: 'embedded', trouble: 'its process is being started', loops: {} },
    ];
    expect(assessHealth({ refusing: false, concerns: false, destinations, nowMs }).destinations).toEqual({
      otlp: { status: 'degraded', lagSeconds: 9, pendingBytes: 15, lastError: 'ECONNREFUSED' },
      embedded: { status: 'unavailable', lagSeconds: 0, pendingBytes: 0, lastError: 'its process is being started' },
    });
  });
});

describe('own metrics', () => {
  let metrics: OwnMetrics | undefined;
  afterEach(() => metrics?.close());
  const lines = async (grown: OwnMetrics) =>
    (await grown.text()).text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

  it('tell what the counters heard, the same however often they are asked', async () => {
    metrics = createMetrics();
    const counters = new PipelineCounters(new PipelineLedger(systemClock));
    metrics.register(counters.source);
    counters.received('shop', 'traces', 3, 1, 'grpc');
    counters.received('cart', 'traces', 2, 2, 'grpc');
    counters.received('cart', 'logs', 1, 1, 'http/json');
    counters.rejected('traces', 4, 'bad id', '');
    counters.refused('shop', 'traces', 5);
    counters.repeated('logs', 6);
    counters.requestEnded('traces', 'grpc', 'ok', 100);
    counters.requestEnded('traces', 'grpc', 'malformed', 11);
    const otlp = counters.destination('otlp');
    otlp.sent('traces', 7, 70);
    otlp.sent('traces', 1, 10);
    otlp.failed('traces', 8, 'busy');
    otlp.refused('traces', 9, 'no');
    otlp.skipped('traces', 1);
    const expected = [
      'watchingcat_receiver_accepted_total{signal="traces",protocol="grpc"} 5',
      'watchingcat_receiver_accepted_total{signal="logs",protocol="http/json"} 1',
      'watchingcat_receiver_rejected_total{signal="traces"} 4',
      'watchingcat_receiver_refused_total{signal="traces"} 5',
      'watchingcat_receiver_repeated_total{signal="logs"} 6',
      'watchingcat_receiver_requests_total{signal="traces",protocol="grpc",code="ok"} 1',
      'watchingcat_receiver_requests_total{signal="traces",protocol="grpc",code="malformed"} 1',
      'watchingcat_receiver_bytes_total{signal="traces",protocol="grpc"} 111',
      'watchingcat_destination_sent_total{destination="otlp",signal="traces"} 8',
      'watchingcat_destination_send_failed_total{destination="otlp",signal="traces"} 8',
      'watchingcat_destination_refused_total{destination="otlp",signal="traces"} 9',
    ];
    for (let time = 0; time < 2; time++) {
      const told = await lines(metrics);
      for (const line of expected) expect(told).toContain(line);
    }
  });

  it('carry help and type for each name, and what every process tells', async () => {
    metrics = createMetrics();
    const { text, contentType } = await metrics.text();
    expect(contentType).toContain('text/plain');
    for (const [name, { type }] of Object.entries(ownMetrics)) {
      expect(text).toMatch(new RegExp(`^# HELP ${name} \\S`, 'm'));
      expect(text).toContain(`# TYPE ${name} ${type}\n`);
      expect(name.endsWith('_total')).toBe(type === 'counter');
    }
    expect(Number(/^process_resident_memory_bytes (.+)$/m.exec(text)?.[1])).toBeGreaterThan(1e7);
    expect(Math.abs(Number(/^process_start_time_seconds (.+)$/m.exec(text)?.[1]) - Date.now() / 1000)).toBeLessThan(
      3600,
    );
  });

  it('two sources may tell series of one metric', async () => {
    metrics = createMetrics();
    metrics.register(() => [['watchingcat_dead_letters', [{ labels: {}, value: 2 }]]]);
    metrics.register(() => [['watchingcat_wal_refusing', [{ labels: { signal: 'logs' }, value: 1 }]]]);
    metrics.register(() => [['watchingcat_wal_refusing', [{ labels: { signal: 'traces' }, value: 0 }]]]);
    const told = await lines(metrics);
    expect(told).toContain('watchingcat_dead_letters 2');
    expect(told).toContain('watchingcat_wal_refusing{signal="logs"} 1');
    expect(told).toContain('watchingcat_wal_refusing{signal="traces"} 0');
  });
});

describe('the log', () => {
  /** Runs a script that logs, in a process of its own: the log goes to its stderr. */
  async function logged(script: string): Promise<{ stdout: string; stderr: string }> {
    const dir = await mkdtemp(join(tmpdir(), 'watchingcat-log-'));
    const file = join(dir, 'log.mts');
    await writeFile(file, `import { createLogger } from '${new URL('./index.ts', import.meta.url).href}';\n${script}`);
    const child = fork(file, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], execArgv: [] });
    const out = { stdout: '', stderr: '' };
    child.stdout?.on('data', (chunk) => {
      out.stdout += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      out.stderr += chunk;
    });
    await new Promise((resolve) => child.on('close', resolve));
    await rm(dir, { recursive: true });
    return out;
  }

  it('goes to stderr as JSON, without secrets, at its level', async () => {
    const { stdout, stderr } = await logged(`
      const logger = await createLogger({ level: 'info', readable: false });
      logger.debug('not this');
      logger.info({ headers: { authorization: 'canary' }, password: 'canary', upstream: { token: 'canary', authorization: 'canary' } }, 'hello\\nworld');
      logger.error({ err: new Error('broken') }, 'failed');
    `);
    expect(stdout).toBe('');
    expect(stderr).not.toContain('canary');
    const entries = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: string; msg: string; time: string });
    expect(entries.map(({ level, msg }) => `${level} ${msg}`)).toEqual(['info hello\nworld', 'error failed']);
    expect(entries[0]?.time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  });

  it('is readable on a terminal', async () => {
    const { stdout, stderr } = await logged(`
      process.env.NO_COLOR = '1';
      (await createLogger({ level: 'info', readable: true })).warn({ signal: 'logs', password: 'canary' }, 'the disk is full');
    `);
    expect(stdout).toBe('');
    expect(stderr).toContain('WARN: the disk is full');
    expect(stderr).toContain('signal: "logs"');
    expect(stderr).not.toContain('canary');
  });
});
