import { Worker } from 'node:worker_threads';
import { entryPath } from '../base/index.ts';
import { protobufToJson } from '../otlp/index.ts';
import { traceInlineBytesMax, traceThreadIdleMs } from './limits.ts';

/** Question and answer of the thread; a trace that cannot be read is our own bug, whose text goes to the log alone. */
export interface TraceQuestion {
  readonly id: number;
  readonly trace: Uint8Array;
}
export type TraceAnswer =
  | { readonly id: number; readonly json: Uint8Array }
  | { readonly id: number; readonly error: string };

/** Turns traces into OTLP JSON without holding the thread that receives. */
export interface TraceJson extends AsyncDisposable {
  /** @param trace TracesData in protobuf. @returns JSON text, or its bytes in UTF-8. */
  encode(trace: Uint8Array): Promise<string | Uint8Array>;
}

/**
 * Small traces are turned where they are. Larger ones (10,000 spans take 300 ms) go to a thread, which is started for
 * the first of them and ends when there are none; how many wait there is bounded by how many queries run.
 */
export function createTraceJson(): TraceJson {
  let worker: Worker | undefined;
  let idle: NodeJS.Timeout | undefined;
  let lastId = 0;
  const waiting = new Map<number, PromiseWithResolvers<Uint8Array>>();

  function start(): Worker {
    const started = new Worker(entryPath(import.meta.url, './trace-json-thread.ts'), { name: 'trace-json' });
    started.unref();
    started.on('message', (answer: TraceAnswer) => {
      const question = waiting.get(answer.id);
      waiting.delete(answer.id);
      if ('json' in answer) question?.resolve(answer.json);
      else question?.reject(new Error(answer.error));
      if (waiting.size === 0) idle = setTimeout(() => void started.terminate(), traceThreadIdleMs).unref();
    });
    const lost = (cause: unknown) => {
      if (worker === started) worker = undefined;
      for (const question of waiting.values()) question.reject(new Error('the thread for traces ended', { cause }));
      waiting.clear();
    };
    started.on('error', lost);
    started.on('exit', lost);
    return started;
  }

  return {
    async encode(trace) {
      if (trace.length <= traceInlineBytesMax) return protobufToJson('traces', trace);
      clearTimeout(idle);
      worker ??= start();
      const id = ++lastId;
      const answer = Promise.withResolvers<Uint8Array>();
      waiting.set(id, answer);
      // Its own buffer: a view would send all of the one that it is a part of. Not `slice`, which shares a Buffer's memory.
      const copy = new Uint8Array(trace);
      worker.postMessage({ id, trace: copy } satisfies TraceQuestion, [copy.buffer]);
      return answer.promise;
    },
    async [Symbol.asyncDispose]() {
      const ending = worker;
      worker = undefined;
      clearTimeout(idle);
      await ending?.terminate();
    },
  };
}
