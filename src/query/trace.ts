import { Reader } from '../otlp/index.ts';
import type { TimeRange } from '../stores/contract.ts';

// Field numbers of opentelemetry/proto/trace/v1/trace.proto.
const resourceSpans = 1; // TracesData
const scopeSpans = 2; // ResourceSpans
const spans = 2; // ScopeSpans
const startTimeUnixNano = 7; // Span
const endTimeUnixNano = 8;

/**
 * From the first start to the last end of a trace's spans, without decoding anything else.
 * @param traces  TracesData in protobuf, as a store gives it.
 * @returns Half-open; undefined for a trace without a single time.
 */
export function traceWindow(traces: Uint8Array): TimeRange | undefined {
  let first: bigint | undefined;
  let last: bigint | undefined;
  for (const span of spansOf(traces)) {
    while (span.next()) {
      if (span.field !== startTimeUnixNano && span.field !== endTimeUnixNano) continue;
      const time = span.fixed64();
      if (time === 0n) continue;
      if (first === undefined || time < first) first = time;
      if (last === undefined || time > last) last = time;
    }
  }
  return first === undefined || last === undefined ? undefined : { startUnixNano: first, endUnixNano: last + 1n };
}

function* spansOf(traces: Uint8Array): Iterable<Reader> {
  for (const resource of fields(new Reader(traces), resourceSpans)) {
    for (const scope of fields(resource, scopeSpans)) yield* fields(scope, spans);
  }
}

function* fields(message: Reader, field: number): Iterable<Reader> {
  while (message.next()) if (message.field === field) yield message.message();
}
