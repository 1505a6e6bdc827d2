import { showDuration } from './show.ts';
import type { Column } from './table.ts';

/** What the commands read of OTLP JSON's TracesData. */
export interface OtlpTrace {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: readonly Attribute[] };
    readonly scopeSpans?: readonly { readonly spans?: readonly OtlpSpan[] }[];
  }[];
}
interface Attribute {
  readonly key: string;
  readonly value?: { readonly stringValue?: string; readonly intValue?: string | number };
}
interface OtlpSpan {
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name?: string;
  readonly startTimeUnixNano?: string | number;
  readonly endTimeUnixNano?: string | number;
  readonly status?: { readonly code?: number; readonly message?: string };
}

/** One span of a trace as a line of it. */
export interface WaterfallRow {
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly depth: number;
  readonly service: string;
  readonly name: string;
  /** After the first span's start. */
  readonly offsetNanos: string;
  readonly durationNanos: string;
  readonly error: string | undefined;
  /** Place in the whole trace, both from 0 to 1. */
  readonly from: number;
  readonly to: number;
}

/** Spans of a trace, each under its parent, in time order; a span whose parent is missing stands at the left. */
export function traceRows(trace: OtlpTrace): WaterfallRow[] {
  const spans = (trace.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) => {
    const service = resource?.attributes?.find(({ key }) => key === 'service.name')?.value?.stringValue ?? '';
    return (scopeSpans ?? []).flatMap((scope) =>
      (scope.spans ?? []).map((span) => ({ ...span, service, ...times(span) })),
    );
  });
  spans.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  const first = spans[0]?.start ?? 0n;
  let last = first;
  for (const { end } of spans) if (end > last) last = end;
  const whole = Math.max(1, Number(last - first));
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const children = Map.groupBy(spans, ({ spanId, parentSpanId = '' }) =>
    ids.has(parentSpanId) && parentSpanId !== spanId ? parentSpanId : '',
  );
  const rows: WaterfallRow[] = [];
  const shown = new Set<(typeof spans)[number]>();
  const show = (roots: readonly (typeof spans)[number][]) => {
    // Depth first with a list of its own: a trace may be deeper than the call stack.
    const waiting = roots.map((span) => ({ span, depth: 0 })).reverse();
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { span, depth } = next;
      if (shown.has(span)) continue;
      shown.add(span);
      rows.push({
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        depth,
        service: span.service,
        name: span.name ?? '',
        offsetNanos: String(span.start - first),
        durationNanos: String(span.end - span.start),
        error: span.status?.code === 2 ? span.status.message || 'error' : undefined,
        from: Number(span.start - first) / whole,
        to: Number(span.end - first) / whole,
      });
      for (const child of [...(children.get(span.spanId) ?? [])].reverse())
        waiting.push({ span: child, depth: depth + 1 });
    }
  };
  show(children.get('') ?? []);
  // Spans that name each other as parents hang below no root.
  show(spans.filter((span) => !shown.has(span)));
  return rows;
}

const barColumns = 30;

export const waterfallColumns: readonly Column<WaterfallRow>[] = [
  { title: 'SPAN', show: ({ depth, service, name }) => `${'  '.repeat(Math.min(depth, 20))}${service}: ${name}` },
  { title: 'DURATION', align: 'right', show: ({ durationNanos }) => showDuration(durationNanos) },
  { title: 'WHEN', show: bar, style: ({ error }) => (error === undefined ? 'cyan' : 'red') },
  { title: 'ERROR', show: ({ error }) => error ?? '', style: () => 'red' },
];
/** The same for a spreadsheet. */
export const spanColumns: readonly Column<WaterfallRow>[] = [
  { title: 'SPAN_ID', show: ({ spanId }) => spanId },
  { title: 'PARENT_SPAN_ID', show: ({ parentSpanId }) => parentSpanId },
  { title: 'SERVICE', show: ({ service }) => service },
  { title: 'NAME', show: ({ name }) => name },
  { title: 'OFFSET_NANOS', show: ({ offsetNanos }) => offsetNanos },
  { title: 'DURATION_NANOS', show: ({ durationNanos }) => durationNanos },
  { title: 'ERROR', show: ({ error }) => error ?? '' },
];

function bar({ from, to }: WaterfallRow): string {
  const start = Math.min(barColumns - 1, Math.floor(from * barColumns));
  const length = Math.max(1, Math.round((to - from) * barColumns));
  return `${' '.repeat(start)}${'━'.repeat(Math.min(length, barColumns - start))}`.padEnd(barColumns);
}

function times(span: OtlpSpan): { start: bigint; end: bigint } {
  return { start: BigInt(span.startTimeUnixNano ?? 0), end: BigInt(span.endTimeUnixNano ?? 0) };
}
