import { signals } from '../../src/base/index.ts';
import { getJson } from '../kit/process.ts';
import { type Entry, type Ledger, recordsPerRequest } from './ledger.ts';

/** What a reader finds over REST against what the ledger says. */
export interface Audit {
  readonly sent: number;
  readonly acknowledged: number;
  /** Acknowledged records that no reader finds. */
  readonly lost: readonly string[];
  /** Found records that were never sent. */
  readonly phantom: readonly string[];
  /** Records that a reader sees more than once. */
  readonly duplicates: readonly string[];
}

/** Reads everything back. Call it when the store has taken in what the log holds: `settled` says so. */
export async function audit(rest: string, ledger: Ledger): Promise<Audit> {
  const found = new Map<string, number>();
  const startMs = (ledger.entries[0]?.sentMs ?? Date.now()) - 60_000;
  await findSpans(rest, ledger, startMs, found);
  await findLogs(rest, startMs, found);
  await findPoints(rest, ledger, found);
  const sent = new Set(ledger.entries.flatMap(recordsOf));
  const acknowledged = ledger.entries.filter((entry) => entry.acknowledged).flatMap(recordsOf);
  return {
    sent: sent.size,
    acknowledged: acknowledged.length,
    lost: acknowledged.filter((record) => !found.has(record)),
    phantom: [...found.keys()].filter((record) => !sent.has(record)),
    duplicates: [...found].flatMap(([record, times]) => (times > 1 ? [`${record} ${times} times`] : [])),
  };
}

/** True when nothing of what was acknowledged waits any more on its way to the store. */
export async function settled(rest: string): Promise<boolean> {
  const status = (await getJson(rest, '/api/v1/pipeline/status')) as { destinations: { pendingRequests: number }[] };
  return status.destinations.every(({ pendingRequests }) => pendingRequests === 0);
}

function recordsOf(entry: Entry): string[] {
  return Array.from({ length: recordsPerRequest }, (_, item) => `${entry.signal} ${entry.number}.${item}`);
}

async function findSpans(rest: string, ledger: Ledger, startMs: number, found: Map<string, number>): Promise<void> {
  const byTrace = new Map(
    ledger.entries.filter(({ signal }) => signal === 'traces').map((entry) => [entry.traceId, entry]),
  );
  // All that a list shows, so that a trace which was never sent shows, too.
  const listed = await pages(rest, '/api/v1/traces', { service: 'ledger-traces', start: `${startMs}`, end: 'now' });
  const ids = new Set([...byTrace.keys(), ...listed.map((trace) => (trace as { traceId: string }).traceId)]);
  const waiting = [...ids];
  const read = async (): Promise<void> => {
    for (let traceId = waiting.pop(); traceId !== undefined; traceId = waiting.pop()) {
      for (const spanId of await spanIds(rest, traceId)) {
        const place = Number.parseInt(spanId, 16) - 1;
        const own = byTrace.get(traceId)?.number === Math.floor(place / 16);
        add(found, own ? `traces ${Math.floor(place / 16)}.${place % 16}` : `traces ${traceId} ${spanId}`);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, read));
}

async function spanIds(rest: string, traceId: string): Promise<string[]> {
  const answer = await fetch(`${rest}/api/v1/traces/${traceId}`);
  if (answer.status === 404) {
    await answer.arrayBuffer();
    return [];
  }
  if (!answer.ok) throw new Error(`${traceId}: ${answer.status} ${await answer.text()}`);
  const data = (await answer.json()) as { resourceSpans: { scopeSpans: { spans: { spanId: string }[] }[] }[] };
  return data.resourceSpans.flatMap((resource) =>
    resource.scopeSpans.flatMap(({ spans }) => spans.map(({ spanId }) => spanId)),
  );
}

async function findLogs(rest: string, startMs: number, found: Map<string, number>): Promise<void> {
  const query = { query: 'service="ledger-logs"', start: `${startMs}`, end: 'now', order: 'asc' };
  for (const log of await pages(rest, '/api/v1/logs', query)) add(found, `logs ${(log as { body: string }).body}`);
}

/** All items of a list, page by page. */
async function pages(rest: string, path: string, query: Record<string, string>): Promise<unknown[]> {
  const items: unknown[] = [];
  let cursor: string | undefined;
  do {
    const page = { ...query, limit: '1000', ...(cursor === undefined ? {} : { cursor }) };
    const answer = (await getJson(rest, path, page)) as Record<string, unknown>;
    if (answer['incomplete'] === true) throw new Error(`${path}: incomplete: ${JSON.stringify(answer['warnings'])}`);
    items.push(...(answer[path.slice(path.lastIndexOf('/') + 1)] as unknown[]));
    cursor = (answer['nextCursor'] as string | null) ?? undefined;
  } while (cursor !== undefined);
  return items;
}

/** PromQL shows a sample for five minutes, so that each round is asked for every four, from the time of its own last point back. */
async function findPoints(rest: string, ledger: Ledger, found: Map<string, number>): Promise<void> {
  const rounds = Map.groupBy(ledger.entries, ({ round }) => round);
  for (const [round, entries] of rounds) {
    let firstMs = Number.POSITIVE_INFINITY;
    let lastMs = 0;
    for (const { sentMs } of entries) {
      firstMs = Math.min(firstMs, sentMs);
      lastMs = Math.max(lastMs, sentMs);
    }
    const points = new Set<string>();
    for (let timeMs = lastMs + 1_000; timeMs > firstMs; timeMs -= 240_000) {
      const query = { query: `ledger{round="${round}"}`, time: `${timeMs / 1_000}` };
      const answer = (await getJson(rest, '/api/v1/metrics/query', query)) as {
        data: { result: { metric: { point: string }; value: [number, string] }[] };
      };
      for (const { metric, value } of answer.data.result) {
        const right = metric.point.startsWith(`${value[1]}.`);
        points.add(right ? `metrics ${metric.point}` : `metrics ${metric.point} with the value ${value[1]}`);
      }
    }
    for (const point of points) add(found, point);
  }
  for (const signal of signals)
    if (![...found.keys()].some((record) => record.startsWith(signal))) throw new Error(`no ${signal} were found`);
}

function add(found: Map<string, number>, record: string): void {
  found.set(record, (found.get(record) ?? 0) + 1);
}
