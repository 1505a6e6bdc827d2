import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { PlainCluster, podOf } from '../../test/kit/cluster-view.ts';
import { decodeOtlp, encodeOtlp } from '../../test/kit/otlp.ts';
import { Fault, type Signal, signals, systemClock } from '../base/index.ts';
import { type Enrichment, staticEnrichment } from '../enrich/index.ts';
import { kubernetesEnrichment } from '../enrich/kubernetes/index.ts';
import { defaultLimits } from '../otlp/index.ts';
import type { Sender } from '../receive/index.ts';
import { type OwnedLog, openLog, openLogReader } from '../wal/index.ts';
import { createIngest } from './index.ts';
import { inlineBytesMax } from './limits.ts';
import { prepareQuickly } from './prepare.ts';

const sender: Sender = { address: '10.0.0.1', protocol: 'grpc' };
const open: AsyncDisposableStack[] = [];
afterEach(async () => {
  for (const stack of open.splice(0)) await stack.disposeAsync();
});

/** An ingest over real logs in a folder of their own. */
async function start(options: { clusterName?: string; maxBytes?: number; enrichment?: Enrichment } = {}) {
  const parts = new AsyncDisposableStack();
  open.push(parts);
  const folder = await mkdtemp(join(tmpdir(), 'watchingcat-ingest-'));
  parts.defer(() => rm(folder, { recursive: true }));
  const opened = await Promise.all(
    signals.map(async (signal): Promise<[Signal, OwnedLog]> => {
      const maxBytes = options.maxBytes ?? 1024 ** 3;
      return [signal, parts.use(await openLog({ dir: join(folder, signal), signal, maxBytes, clock: systemClock }))];
    }),
  );
  const logs = Object.fromEntries(opened) as Record<Signal, OwnedLog>;
  for (const signal of signals) logs[signal].cursor('test');
  const heard: string[] = [];
  const { clusterName } = options;
  const configured = staticEnrichment({ clusterName, cloudRegion: undefined, environment: undefined });
  const enrichment = options.enrichment ?? configured;
  const { accept } = parts.use(
    createIngest({
      logs,
      enrichment,
      limits: defaultLimits,
      digestSecret: new Uint8Array(32).fill(7),
      clock: systemClock,
      observer: {
        received: (service, signal, records, seq, protocol) =>
          heard.push(`received ${service} ${signal} ${records} ${seq} ${protocol}`),
        rejected: (signal, records, reason) => heard.push(`rejected ${signal} ${records}: ${reason}`),
        refused: (service, signal, records) => heard.push(`refused ${service} ${signal} ${records}`),
        repeated: (signal, records) => heard.push(`repeated ${signal} ${records}`),
      },
    }),
  );
  /** What is in the log, read as a destination reads it. */
  const logged = async (signal: Signal) => {
    await using reader = await openLogReader({ dir: join(folder, signal) });
    const { frames } = await reader.read(0, logs[signal].durableSeq, { bytesMax: 2 ** 30, recordsMax: 2 ** 30 });
    return frames;
  };
  return { accept, logs, heard, logged };
}

const span = (name: string, id = name.length, spanIdLength = 8) => ({
  traceId: new Uint8Array(16).fill(id),
  spanId: new Uint8Array(spanIdLength).fill(id),
  name,
});
const traces = (...services: [name: string, spans: object[]][]) =>
  encodeOtlp('traces', {
    resourceSpans: services.map(([stringValue, spans]) => ({
      resource: { attributes: [{ key: 'service.name', value: { stringValue } }] },
      scopeSpans: [{ spans }],
    })),
  });
const logsOf = (...timeUnixNano: string[]) =>
  encodeOtlp('logs', {
    resourceLogs: [{ scopeLogs: [{ logRecords: timeUnixNano.map((time) => ({ timeUnixNano: time })) }] }],
  });

interface Decoded {
  resourceSpans: { resource: { attributes: { key: string }[] }; scopeSpans: { spans: { name: string }[] }[] }[];
}
const decoded = (body: Uint8Array) => (decodeOtlp('traces', body) as Decoded).resourceSpans;

describe('ingest', () => {
  it('acknowledges what is in the log, as it came, counted by service', async () => {
    const { accept, heard, logged } = await start();
    const body = traces(['cart', [span('a'), span('bb')]], ['payment', [span('ccc')]]);
    expect(await accept('traces', body, sender)).toEqual({ rejected: 0, message: '' });
    const [frame] = await logged('traces');
    expect(Buffer.from(frame!.body).equals(body)).toBe(true);
    expect(frame!.records).toBe(3);
    expect(heard).toEqual(['received cart traces 2 1 grpc', 'received payment traces 1 1 grpc']);
  });

  it('adds attributes on the way, and still knows the client by what it sent', async () => {
    const { accept, heard, logged } = await start({ clusterName: 'blue' });
    const body = traces(['cart', [span('a')]]);
    await accept('traces', body, sender);
    expect(await accept('traces', new Uint8Array(body), sender)).toEqual({ rejected: 0, message: '' });
    const frames = await logged('traces');
    expect(frames).toHaveLength(1);
    expect(decoded(frames[0]!.body)[0]!.resource.attributes.map(({ key }) => key)).toEqual([
      'service.name',
      'cluster.name',
      'k8s.cluster.name',
    ]);
    expect(heard).toEqual(['received cart traces 1 1 grpc', 'repeated traces 1']);
  });

  it('adds them to each of many resources, and keeps what stands between', async () => {
    const { accept, logged } = await start({ clusterName: 'blue' });
    const names = Array.from({ length: 1_000 }, (_, index) => `service-${index}`);
    const half = (from: number) =>
      traces(...names.slice(from, from + 500).map((name): [string, object[]] => [name, [span(name, 7)]]));
    const unknownField = Buffer.from([0x7a, 3, 1, 2, 3]);
    const body = Buffer.concat([half(0), unknownField, half(500), unknownField]);
    await accept('traces', body, sender);
    const [frame] = await logged('traces');
    const resources = decoded(frame!.body);
    expect(resources.map(({ scopeSpans }) => scopeSpans[0]?.spans[0]?.name)).toEqual(names);
    expect(new Set(resources.map(({ resource }) => resource.attributes.map(({ key }) => key).join()))).toEqual(
      new Set(['service.name,cluster.name,k8s.cluster.name']),
    );
    expect(Buffer.from(frame!.body).toString('latin1').split(unknownField.toString('latin1'))).toHaveLength(3);
  });

  it('asks for room for what it adds, and without it tells the client to come again', async () => {
    const { accept, heard, logged } = await start({ clusterName: 'blue' });
    const body = traces(['cart', [span('a')]], ['payment', [span('bb')]]);
    const asked: number[] = [];
    const full = new Fault('unavailable', 'full', { retryAfterMs: 1_000 });
    const room = { reserve: (bytes: number) => (asked.push(bytes) === 1 ? full : undefined) };
    await expect(accept('traces', body, sender, room)).rejects.toBe(full);
    expect(heard.splice(0)).toEqual(['refused cart traces 1', 'refused payment traces 1']);
    await accept('traces', body, sender, room);
    const [frame] = await logged('traces');
    expect(asked).toEqual(new Array(2).fill(frame!.body.length - body.length));
    expect(heard).toEqual(['received cart traces 1 1 grpc', 'received payment traces 1 1 grpc']);
  });

  it.each([
    { name: 'small', spans: 2, mendedIn: 'here' },
    // Checked here, mended in a thread.
    { name: 'middling', spans: 6_000, mendedIn: 'a thread' },
    { name: 'large', spans: 60_000, mendedIn: 'a thread' },
  ])(
    'takes the bad record out of a $name request, says so, and says the same to a repeat',
    async ({ name, spans, mendedIn }) => {
      const { accept, heard, logged } = await start();
      const body = traces(['cart', [...Array.from({ length: spans }, () => span('good')), span('bad', 3, 7)]]);
      expect(body.length > inlineBytesMax).toBe(name === 'large');
      const task = {
        signal: 'traces',
        tenant: '',
        digestSecret: new Uint8Array(32),
        body,
        limits: defaultLimits,
        receivedUnixNano: 1n,
      } as const;
      expect(prepareQuickly(task) === undefined).toBe(mendedIn === 'a thread');
      const answer = await accept('traces', new Uint8Array(body), sender);
      expect(answer).toMatchObject({ rejected: 1, message: expect.stringContaining('span id') });
      expect(await accept('traces', new Uint8Array(body), sender)).toEqual(answer);
      const frames = await logged('traces');
      expect(frames).toHaveLength(1);
      expect(frames[0]!.records).toBe(spans);
      expect(new Set(decoded(frames[0]!.body)[0]!.scopeSpans[0]!.spans.map(({ name }) => name))).toEqual(
        new Set(['good']),
      );
      expect(heard.filter((line) => line.startsWith('received'))).toEqual([`received cart traces ${spans} 1 grpc`]);
      expect(heard.at(0)).toMatch(/^rejected traces 1: .*span id/);
    },
  );

  it('writes nothing for a request without a record that can be kept', async () => {
    const { accept, logged } = await start();
    expect(await accept('traces', new Uint8Array(0), sender)).toEqual({ rejected: 0, message: '' });
    expect(await accept('traces', traces(['cart', [span('bad', 3, 7)]]), sender)).toMatchObject({ rejected: 1 });
    expect(await logged('traces')).toEqual([]);
  });

  it('keeps both of two equal log requests without any time, and one of two with', async () => {
    const { accept, logged } = await start();
    for (const time of ['0', '0', '7', '7']) await accept('logs', logsOf(time), sender);
    expect(await logged('logs')).toHaveLength(3);
  });

  it('names each of two equal log requests without any time anew, so that their records get ids of their own', async () => {
    const { accept, logged } = await start();
    for (const time of ['0', '0']) await accept('logs', logsOf(time, '0'), sender);
    const names = (await logged('logs')).map(({ digest }) => Buffer.from(digest).toString('hex'));
    expect(new Set(names).size).toBe(2);
    // The name is in the frame: whoever reads the log again, after a crash as well, gives the records the same ids.
    expect((await logged('logs')).map(({ digest }) => Buffer.from(digest).toString('hex'))).toEqual(names);
  });

  it('says malformed and where, whatever the size', async () => {
    const { accept, logged } = await start();
    const large = new Uint8Array(inlineBytesMax + 10).fill(0xff);
    await expect(accept('traces', large, sender)).rejects.toMatchObject({
      code: 'malformed',
      message: expect.stringContaining('at byte 0'),
    });
    await expect(accept('traces', new Uint8Array([0x0a, 0x05]), sender)).rejects.toMatchObject({ code: 'malformed' });
    expect(await logged('traces')).toEqual([]);
  });

  it('tells whom the log refused when it is full', async () => {
    const { accept, heard } = await start({ maxBytes: 512 * 1024 });
    const full = async () => {
      for (let n = 0; n < 200; n++)
        await accept(
          'traces',
          traces(['cart', Array.from({ length: 200 }, (_, i) => span(`span ${n} ${i}`, 5))]),
          sender,
        );
    };
    await expect(full()).rejects.toMatchObject({ code: 'unavailable', retryAfterMs: expect.any(Number) });
    expect(heard.at(-1)).toBe('refused cart traces 200');
  });

  describe('in a cluster', () => {
    const inCluster = (cluster: PlainCluster) =>
      kubernetesEnrichment(cluster, {
        labels: new Set(),
        annotations: new Set(),
        useServiceLabels: false,
        always: [],
        clusterName: undefined,
        waitMs: 10_000,
        clock: systemClock,
      });
    const nameless = encodeOtlp('traces', {
      resourceSpans: [
        { scopeSpans: [{ spans: [] }] },
        { resource: {}, scopeSpans: [{ spans: [span('a'), span('bb')] }] },
        {
          resource: { attributes: [{ key: 'k8s.node.name', value: { stringValue: 'n' } }] },
          scopeSpans: [{ spans: [span('ccc')] }],
        },
      ],
    });

    it('counts records under the name of the service that its pod tells', async () => {
      const cluster = new PlainCluster();
      cluster.put(podOf(), sender.address);
      const { accept, heard } = await start({ enrichment: inCluster(cluster).enrich });
      await accept('traces', nameless, sender);
      expect(heard).toEqual(['received cart traces 2 1 grpc', 'received  traces 1 1 grpc']);
    });

    it('acknowledges a request that waits for its pod once it is in the log, and knows its repeat', async () => {
      const cluster = new PlainCluster();
      cluster.podPrefix = sender.address;
      const { accept, heard, logged } = await start({ enrichment: inCluster(cluster).enrich });
      const waiting = [accept('traces', nameless, sender), accept('traces', new Uint8Array(nameless), sender)];
      await accept('traces', traces(['shop', [span('a')]]), { ...sender, address: '192.0.2.1' });
      expect(heard).toEqual(['received shop traces 1 1 grpc']);
      cluster.put(podOf(), sender.address);
      await Promise.all(waiting);
      expect(heard.slice(1).sort()).toEqual([
        'received  traces 1 2 grpc',
        'received cart traces 2 2 grpc',
        'repeated traces 3',
      ]);
      expect(await logged('traces')).toHaveLength(2);
    });
  });
});
