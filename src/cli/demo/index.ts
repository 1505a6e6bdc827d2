import { setTimeout as sleep } from 'node:timers/promises';
import { countRecords, type Requests } from '../otlp/json.ts';
import type { Sender } from '../otlp/sender.ts';
import { toRequests } from './batch.ts';
import { eventsBetween, type Incident } from './events.ts';
import { createInventory } from './inventory.ts';
import { visit, type Weather } from './journeys.ts';
import { createMeters } from './meters.ts';
import { createRandom } from './random.ts';
import { createReceivers } from './receivers.ts';
import { createPods } from './shop.ts';
import type { Journey } from './trace-builder.ts';

/** What was sent so far, in records. */
interface Sent {
  traces: number;
  metrics: number;
  logs: number;
  rejected: number;
}
export interface DemoOptions {
  readonly seed: number;
  /** Now, Unix milliseconds. */
  nowMs(): number;
  /** How far back the shop's story begins. */
  readonly backfillMs: number;
  readonly visitsPerSecond: number;
  /** Who takes which signal: spans and metrics as SDKs send them, logs, and Kubernetes events. */
  readonly senders: {
    readonly traces: Sender;
    readonly metrics: Sender;
    readonly logs: Sender;
    readonly events: Sender;
  };
}
/** A shop that keeps running. */
export interface Demo {
  readonly sent: Sent;
  /** Sends what happened from the story's begin until now. */
  backfill(onProgress: (done: number) => void): Promise<void>;
  /** Goes on as time does, until cancelled. */
  live(cancel: AbortSignal, onSecond: () => void): Promise<void>;
}

/** Of SDKs; kubelets and hosts are read every second time, the API server every fourth. */
const metricIntervalMs = 15_000;
/** A request of the backfill holds what happened in this time. */
const chunkMs = 60_000;

export function createDemo(options: DemoOptions): Demo {
  const random = createRandom(options.seed);
  const pods = createPods(random);
  const beginMs = options.nowMs() - options.backfillMs;
  // The incident takes the middle of the story.
  const atPart = (part: number) => Math.round(beginMs + options.backfillMs * part);
  const incident: Incident | undefined =
    options.backfillMs > 0 ? { deployedMs: atPart(0.4), sickMs: atPart(0.5), mendedMs: atPart(0.65) } : undefined;
  const weatherAt = (ms: number): Weather => ({
    fraudCheckIsSick: incident !== undefined && ms >= incident.sickMs && ms < incident.mendedMs,
  });
  const meters = createMeters(random, pods, toUnixNano(beginMs));
  const inventory = createInventory(random, pods, beginMs, incident);
  const receivers = createReceivers(random, inventory, beginMs);
  const sent: Sent = { traces: 0, metrics: 0, logs: 0, rejected: 0 };
  let untilMs = beginMs;
  let nextVisitMs = beginMs;
  /** Visits that have begun and not ended: nothing is sent before it has happened. */
  let underWay: Journey[] = [];
  let metricsMs = beginMs + metricIntervalMs;

  const send = async <S extends 'traces' | 'metrics' | 'logs'>(
    sender: Sender,
    signal: S,
    request: Requests[S],
  ): Promise<void> => {
    const records = countRecords(request);
    if (records === 0) return;
    const { rejected } = await sender.send(signal, request);
    sent[signal] += records - rejected;
    sent.rejected += rejected;
  };

  /** Lets the shop run until a time, and sends what has ended by then. */
  const advance = async (toMs: number): Promise<void> => {
    while (nextVisitMs <= toMs) {
      underWay.push(visit(random, pods, toUnixNano(nextVisitMs), weatherAt(nextVisitMs)));
      // Visitors come independently of each other.
      nextVisitMs += (-Math.log(1 - random.next()) * 1000) / options.visitsPerSecond;
    }
    const ended: Journey[] = [];
    const end = (ms: number) => {
      const [over, open] = partition(underWay, (journey) => journey.endUnixNano <= toUnixNano(ms));
      for (const journey of over) meters.observe(journey);
      ended.push(...over);
      underWay = open;
    };
    const requests: Promise<void>[] = [];
    for (; metricsMs <= toMs; metricsMs += metricIntervalMs) {
      end(metricsMs);
      const collected = [meters.collect(toUnixNano(metricsMs))];
      const tick = (metricsMs - beginMs) / metricIntervalMs;
      if (tick % 2 === 1) collected.push(receivers.measured(metricsMs, weatherAt(metricsMs)));
      if (tick % 4 === 1) collected.push(receivers.told(metricsMs));
      requests.push(...collected.map((request) => send(options.senders.metrics, 'metrics', request)));
    }
    end(toMs);
    const happened = eventsBetween(inventory, incident, beginMs, untilMs, toMs);
    untilMs = toMs;
    const { traces, logs } = toRequests(ended);
    await Promise.all([
      send(options.senders.traces, 'traces', traces),
      send(options.senders.logs, 'logs', logs),
      send(options.senders.events, 'logs', happened),
      ...requests,
    ]);
  };

  return {
    sent,
    async backfill(onProgress) {
      for (let toMs = beginMs + chunkMs; untilMs < options.nowMs(); toMs += chunkMs) {
        await advance(Math.min(toMs, options.nowMs()));
        onProgress(Math.min(1, (untilMs - beginMs) / Math.max(1, options.backfillMs)));
      }
    },
    async live(cancel, onSecond) {
      while (!cancel.aborted) {
        await sleep(1000, undefined, { signal: cancel }).catch(() => undefined);
        if (cancel.aborted) return;
        await advance(options.nowMs());
        onSecond();
      }
    },
  };
}

function toUnixNano(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n;
}

function partition<T>(items: readonly T[], suits: (item: T) => boolean): [T[], T[]] {
  const yes: T[] = [];
  const no: T[] = [];
  for (const item of items) (suits(item) ? yes : no).push(item);
  return [yes, no];
}
