import { Fault } from '../../base/index.ts';
import type { Page, TraceSearch, TraceSummary } from '../contract.ts';
import { depthMax, scanBytesMax, scanMs, scanRequestsMax, scanTracesMax } from './limits.ts';
import { depthFor, type Narrowing, narrowingOf, type Window, Windows } from './plan.ts';
import type { FoundTrace, SpanSearch } from './spans.ts';

// Traces by their newest span that matches, newest first, page by page.

export interface Asked extends Narrowing, Window {
  readonly depth: number;
}

/** What a window gave. `full`: perhaps not all of it. */
export type Given =
  | {
      readonly kind: 'traces';
      readonly found: readonly FoundTrace[];
      readonly sizeBytes: number;
      readonly full: boolean;
    }
  | { readonly kind: 'tooLarge' };

export interface SearchParts {
  ask(asked: Asked, search: SpanSearch, cancel: AbortSignal): Promise<Given>;
  monotonicMs(): number;
}

interface Place {
  readonly time: bigint;
  /** '' is before every trace. */
  readonly traceId: string;
}

/**
 * A trace that a former page had does not come again: its newest matching span is at or after the cursor. So that this
 * holds while data arrive, later pages leave out spans that are newer than the first page's newest.
 * Where a bound ends the search the next page goes on from there.
 */
export async function searchTraces(
  { ask, monotonicMs }: SearchParts,
  search: TraceSearch,
  cancel: AbortSignal,
): Promise<Page<TraceSummary>> {
  const { newest, after } = search.cursor === undefined ? firstPage : decodeCursor(search.cursor);
  const endUnixNano = least(search.range.endUnixNano, newest === undefined ? undefined : newest + 1n);
  const spans: SpanSearch = {
    range: { startUnixNano: search.range.startUnixNano, endUnixNano },
    service: search.service,
    operation: search.operation,
    filter: search.filter,
    minDurationNanos: search.minDurationNanos,
    maxDurationNanos: search.maxDurationNanos,
  };
  const narrowing = narrowingOf(search);
  const windows = new Windows({
    startUnixNano: search.range.startUnixNano,
    endUnixNano: least(endUnixNano, after === undefined ? undefined : after.time + 1n),
  });
  const begun = windows.knownFrom;
  const best = new Map<string, FoundTrace & { readonly newestMatch: bigint }>();
  const warnings = new Set<string>();
  const begunMs = monotonicMs();
  let [depth, depthCap, traces, sizeBytes, requests] = [depthFor(search.limit), depthMax, 0, 0, 0];

  /** In order, all of which nothing newer can come between. */
  const settled = (): TraceSummary[] =>
    [...best.values()]
      .filter((each) => each.newestMatch >= windows.knownFrom && isAfter(each, after))
      .sort(byPlace)
      .map(({ summary }) => summary);

  for (let window = windows.next(); window !== undefined; window = windows.next()) {
    if (settled().length > search.limit) break;
    const bound = boundPassed({ traces, sizeBytes, requests, elapsedMs: monotonicMs() - begunMs });
    if (bound !== undefined) {
      warnings.add(`${bound}; the next page goes on from there`);
      break;
    }
    const given = await ask({ ...narrowing, ...window, depth }, spans, cancel);
    cancel.throwIfAborted();
    requests++;
    if (given.kind === 'tooLarge') {
      if (depth > 1) depthCap = depth = Math.ceil(depth / 4);
      else if (!windows.narrow(window)) {
        warnings.add('a trace is too large to be looked through and was left out');
        windows.known(window, 1, []);
      }
      continue;
    }
    traces += given.found.length;
    sizeBytes += given.sizeBytes;
    for (const each of given.found) {
      if (each.newestMatch !== undefined) best.set(each.summary.traceId, { ...each, newestMatch: each.newestMatch });
    }
    const starts = given.found.map(({ summary }) => summary.startTimeUnixNano);
    if (given.full && windows.narrow(window, starts)) continue;
    if (given.full) warnings.add('more traces begin at the same time than Jaeger gives at once; some were left out');
    windows.known(window, given.found.length / depth, starts);
    // Matches are rare: larger bites.
    if (!given.full && given.found.length > 0) depth = Math.min(depthCap, depth * 2);
  }

  const found = settled();
  const items = found.slice(0, search.limit);
  const last = items.at(-1);
  const first = newest ?? best.get(items[0]?.traceId ?? '')?.newestMatch;
  const unfinished = windows.next() !== undefined;
  let next: string | undefined;
  if (found.length > search.limit && last !== undefined) {
    next = encodeCursor(first!, { time: best.get(last.traceId)!.newestMatch, traceId: last.traceId });
  } else if (unfinished && windows.knownFrom < begun) {
    const here = { time: windows.knownFrom, traceId: '' };
    next = encodeCursor(first ?? here.time, here);
  }
  return { items, next, incomplete: warnings.size > 0, warnings: [...warnings] };
}

function boundPassed(so: { traces: number; sizeBytes: number; requests: number; elapsedMs: number }) {
  if (so.traces > scanTracesMax) return `${so.traces} traces were looked through`;
  if (so.sizeBytes > scanBytesMax) return `${so.sizeBytes >> 20} MiB of traces were looked through`;
  if (so.requests > scanRequestsMax) return `Jaeger was asked ${so.requests} times`;
  if (so.elapsedMs > scanMs) return `Jaeger was asked for ${Math.round(so.elapsedMs / 1000)} s`;
  return undefined;
}

function least(a: bigint, b: bigint | undefined): bigint {
  return b === undefined || a < b ? a : b;
}

function isAfter({ newestMatch, summary }: { newestMatch: bigint; summary: TraceSummary }, place: Place | undefined) {
  if (place === undefined || newestMatch < place.time) return true;
  return newestMatch === place.time && summary.traceId < place.traceId;
}

function byPlace(
  a: { newestMatch: bigint; summary: TraceSummary },
  b: { newestMatch: bigint; summary: TraceSummary },
): number {
  if (a.newestMatch !== b.newestMatch) return a.newestMatch < b.newestMatch ? 1 : -1;
  return a.summary.traceId < b.summary.traceId ? 1 : -1;
}

const firstPage = { newest: undefined, after: undefined };

function encodeCursor(newest: bigint, { time, traceId }: Place): string {
  return Buffer.from(JSON.stringify([String(newest), String(time), traceId])).toString('base64url');
}

function decodeCursor(cursor: string): { readonly newest: bigint; readonly after: Place } {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    const [newest, time, traceId] = Array.isArray(parts) && parts.length === 3 ? (parts as unknown[]) : [];
    if (isTime(newest) && isTime(time) && typeof traceId === 'string' && /^([0-9a-f]{32})?$/.test(traceId)) {
      return { newest: BigInt(newest), after: { time: BigInt(time), traceId } };
    }
  } catch {
    // not JSON: not made by this list
  }
  throw new Fault('malformed', 'the cursor was not made by this list', { parameter: 'cursor' });
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,20}$/.test(value) && BigInt(value) < 1n << 64n;
}
