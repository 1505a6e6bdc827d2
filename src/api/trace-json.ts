import { entryPath, ThreadPool } from '../base/index.ts';
import { protobufToJson } from '../otlp/index.ts';
import { traceInlineBytesMax, traceThreadHeapMegabytesMax } from './limits.ts';

/** Turns traces into OTLP JSON without holding the thread that receives. */
export interface TraceJson extends AsyncDisposable {
  /** @param trace TracesData in protobuf. @returns JSON text, or its bytes in UTF-8. */
  encode(trace: Uint8Array): Promise<string | Uint8Array>;
}

/**
 * Small traces are turned where they are; larger ones (10,000 spans take 300 ms) in a thread. How many wait there is
 * bounded by how many queries run.
 */
export function createTraceJson(): TraceJson {
  const threads = new ThreadPool<Uint8Array, Uint8Array>({
    name: 'trace-json',
    entry: entryPath(import.meta.url, './trace-json-thread.ts'),
    heapMegabytesMax: traceThreadHeapMegabytesMax,
    threadsMax: 1,
  });
  return {
    async encode(trace) {
      if (trace.length <= traceInlineBytesMax) return protobufToJson('traces', trace);
      // A copy of its own: a view would send all of the buffer that it is a part of, and the caller keeps his.
      const copy = new Uint8Array(trace);
      return threads.run(copy, [copy.buffer]);
    },
    [Symbol.asyncDispose]: () => threads.close(),
  };
}
