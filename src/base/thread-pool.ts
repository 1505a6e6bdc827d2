import { availableParallelism } from 'node:os';
import { parentPort, type Transferable, Worker } from 'node:worker_threads';
import { Fault, type FaultCode } from './fault.ts';
import { threadYoungMegabytesMax } from './young.ts';

/** Threads of one pool; the machine's cores where those are fewer. */
const threadsMax = 2;
/** A thread without work ends after this; the next task starts another. */
const idleMs = 30_000;
const retryAfterMs = 1_000;

export interface ThreadPoolOptions {
  readonly name: string;
  /** Path of the module that the threads run; it calls `serveTasks`. */
  readonly entry: string;
  /** Heap of one thread; past it the thread dies. */
  readonly heapMegabytesMax: number;
  readonly threadsMax?: number;
  readonly onDeath?: (error: Error | undefined) => void;
}

type Reply<Result> =
  | { readonly result: Result }
  | {
      readonly code: FaultCode;
      readonly message: string;
      readonly retryAfterMs: number | undefined;
      readonly stack: string | undefined;
    };

/**
 * Threads that start with the first task and end when there are none. A thread works on one task at a time; one that
 * dies costs its own task only. For work that would hold the main thread for more than a few milliseconds.
 */
export class ThreadPool<Task, Result> {
  readonly #options: ThreadPoolOptions;
  readonly #threads = new Set<Thread<Task, Result>>();
  readonly #queue: Job<Task, Result>[] = [];
  readonly #threadsMax: number;
  #closed = false;

  constructor(options: ThreadPoolOptions) {
    this.#options = options;
    this.#threadsMax = options.threadsMax ?? Math.min(threadsMax, availableParallelism());
  }

  get threads(): number {
    return this.#threads.size;
  }

  /**
   * @param transfer    Buffers that are handed over with the task, not copied: the caller has them no longer.
   * @param outOfMemory What a task is answered whose thread ran out of heap. Default: as for any thread that died.
   * @throws Fault as the thread threw it; `unavailable` when the pool is closed or the thread died.
   */
  run(task: Task, transfer: readonly Transferable[] = [], outOfMemory?: () => Fault): Promise<Result> {
    if (this.#closed) return Promise.reject(stopping());
    return new Promise((resolve, reject) => {
      this.#queue.push({ task, transfer, outOfMemory, resolve, reject });
      this.#dispatch();
    });
  }

  /** Fails what waits, ends the threads. May be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0)) job.reject(stopping());
    await Promise.all(Array.from(this.#threads, ({ worker }) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const thread = this.#idleThread();
      if (thread === undefined) return;
      const job = this.#queue.shift() as Job<Task, Result>;
      clearTimeout(thread.idleTimer);
      thread.job = job;
      thread.worker.ref();
      thread.worker.postMessage(job.task, job.transfer);
    }
  }

  #idleThread(): Thread<Task, Result> | undefined {
    for (const thread of this.#threads) if (thread.job === undefined) return thread;
    return this.#threads.size < this.#threadsMax ? this.#start() : undefined;
  }

  #start(): Thread<Task, Result> {
    const { name, entry, heapMegabytesMax } = this.#options;
    const worker = new Worker(entry, {
      name,
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax, maxYoungGenerationSizeMb: threadYoungMegabytesMax },
    });
    const thread: Thread<Task, Result> = { worker, job: undefined, idleTimer: undefined, failure: undefined };
    this.#threads.add(thread);
    worker.on('message', (reply: Reply<Result>) => this.#onReply(thread, reply));
    worker.on('error', (error) => {
      thread.failure = error;
    });
    worker.on('exit', () => this.#onExit(thread));
    worker.unref();
    return thread;
  }

  #onReply(thread: Thread<Task, Result>, reply: Reply<Result>): void {
    const job = thread.job;
    thread.job = undefined;
    thread.worker.unref();
    thread.idleTimer = setTimeout(() => this.#end(thread), idleMs).unref();
    if ('result' in reply) job?.resolve(reply.result);
    else {
      const options = {
        cause: reply.stack,
        ...(reply.retryAfterMs === undefined ? {} : { retryAfterMs: reply.retryAfterMs }),
      };
      job?.reject(new Fault(reply.code, reply.message, options));
    }
    this.#dispatch();
  }

  /** It takes a moment to end, in which it must not be given anything. */
  #end(thread: Thread<Task, Result>): void {
    this.#threads.delete(thread);
    void thread.worker.terminate();
  }

  #onExit(thread: Thread<Task, Result>): void {
    this.#threads.delete(thread);
    clearTimeout(thread.idleTimer);
    const { job, failure } = thread;
    if (job === undefined) return;
    this.#options.onDeath?.(failure);
    const outOfMemory = failure !== undefined && 'code' in failure && failure.code === 'ERR_WORKER_OUT_OF_MEMORY';
    if (this.#closed) job.reject(stopping());
    else if (outOfMemory && job.outOfMemory !== undefined) job.reject(job.outOfMemory());
    // What was handed over went with the thread; the caller's own caller still has it.
    else job.reject(new Fault('unavailable', 'interrupted', { retryAfterMs, cause: failure }));
    this.#dispatch();
  }
}

/** The thread's side: answers each task in turn. What `work` throws crosses as a Fault. */
export function serveTasks<Task, Result>(work: (task: Task) => { result: Result; transfer: Transferable[] }): void {
  const port = parentPort;
  if (port === null) throw new Error('serveTasks runs in a thread of a ThreadPool');
  port.on('message', (task: Task) => {
    try {
      const { result, transfer } = work(task);
      port.postMessage({ result } satisfies Reply<Result>, transfer);
    } catch (thrown) {
      const { code, message, retryAfterMs, cause } = Fault.from(thrown);
      const stack = cause instanceof Error ? cause.stack : undefined;
      port.postMessage({ code, message, retryAfterMs, stack } satisfies Reply<Result>);
    }
  });
}

/** The bytes with a buffer of their own, as they must be to be handed over: pieces from a socket share one. */
export function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) return bytes as Uint8Array<ArrayBuffer>;
  return new Uint8Array(bytes);
}

interface Thread<Task, Result> {
  readonly worker: Worker;
  job: Job<Task, Result> | undefined;
  idleTimer: NodeJS.Timeout | undefined;
  failure: Error | undefined;
}

interface Job<Task, Result> {
  readonly task: Task;
  readonly transfer: readonly Transferable[];
  readonly outOfMemory: (() => Fault) | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (fault: Fault) => void;
}

function stopping(): Fault {
  return new Fault('unavailable', 'stopping', { retryAfterMs });
}
