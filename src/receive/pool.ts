import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { entryPath, Fault, type FaultCode } from '../base/index.ts';
import { decompress, tooLarge } from './encodings.ts';
import {
  inlineDecompressedBytesMax,
  retryAfterMs,
  workerHeapMegabytesMax,
  workerIdleMs,
  workersMax,
} from './limits.ts';
import type { ReceiveLogger } from './listener.ts';
import { isQuick, type Packed, unpack } from './unpack.ts';

/** What a thread is sent. */
export type Task = Packed;
/** What it answers. `stack` is where a bug of ours was. */
export type Reply =
  | { readonly body: Uint8Array }
  | { readonly code: FaultCode; readonly message: string; readonly stack: string | undefined };

/**
 * Unpacks bodies: small ones at once, on this thread; larger ones on threads that start with the first such body and end
 * when there are none. A thread that dies costs its own request only.
 * Not zlib's asynchronous functions: they use the thread pool in which the log's writes wait.
 */
export class UnpackPool {
  readonly #threads = new Set<Thread>();
  readonly #queue: Job[] = [];
  readonly #threadsMax: number;
  readonly #heapMegabytesMax: number;
  readonly #entry: string;
  readonly #logger: ReceiveLogger | undefined;
  #closed = false;

  constructor(
    options: {
      logger?: ReceiveLogger | undefined;
      threadsMax?: number;
      heapMegabytesMax?: number;
      /** The module that threads run. */
      entry?: string;
    } = {},
  ) {
    this.#logger = options.logger;
    this.#heapMegabytesMax = options.heapMegabytesMax ?? workerHeapMegabytesMax;
    this.#threadsMax = options.threadsMax ?? Math.min(workersMax, availableParallelism());
    this.#entry = options.entry ?? entryPath(import.meta.url, './worker.ts');
  }

  /**
   * The uncompressed protobuf message, at once or later. Takes over `packed.body`.
   * @throws Fault, or rejects with it: `malformed`, `tooLarge`, `unavailable` when closed or when the thread died.
   */
  unpack(packed: Packed): Uint8Array | Promise<Uint8Array> {
    if (packed.encoding === 'identity' && packed.format === 'protobuf') return packed.body;
    if (isQuick(packed)) {
      if (packed.encoding === 'identity') return unpack(packed);
      const inline = this.#unpackInline(packed);
      if (inline !== undefined) return inline;
    }
    if (this.#closed) throw stopping();
    return new Promise((resolve, reject) => {
      this.#queue.push({ packed, resolve, reject });
      this.#dispatch();
    });
  }

  /** Fails what waits, ends the threads. May be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0)) job.reject(stopping());
    await Promise.all(Array.from(this.#threads, (thread) => this.#end(thread)));
  }

  get threads(): number {
    return this.#threads.size;
  }

  /** undefined: larger than its size told; a thread shall see whether it is too large. */
  #unpackInline(packed: Packed): Uint8Array | undefined {
    const { encoding, body } = packed;
    if (encoding === 'identity') return undefined;
    const bytesMax = Math.min(packed.bytesMax, inlineDecompressedBytesMax);
    let plain: Uint8Array;
    try {
      plain = decompress(encoding, body, bytesMax);
    } catch (thrown) {
      if (thrown instanceof Fault && thrown.code === 'tooLarge' && bytesMax < packed.bytesMax) return undefined;
      throw thrown;
    }
    return packed.format === 'protobuf' ? plain : unpack({ ...packed, encoding: 'identity', body: plain });
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const thread = this.#idleThread();
      if (thread === undefined) return;
      const job = this.#queue.shift() as Job;
      clearTimeout(thread.idleTimer);
      thread.job = job;
      thread.worker.ref();
      const body = alone(job.packed.body);
      thread.worker.postMessage({ ...job.packed, body } satisfies Task, [body.buffer]);
    }
  }

  #idleThread(): Thread | undefined {
    for (const thread of this.#threads) if (thread.job === undefined) return thread;
    return this.#threads.size < this.#threadsMax ? this.#start() : undefined;
  }

  #start(): Thread {
    const worker = new Worker(this.#entry, {
      name: 'receive',
      resourceLimits: { maxOldGenerationSizeMb: this.#heapMegabytesMax },
    });
    const thread: Thread = { worker, job: undefined, idleTimer: undefined, failure: undefined };
    this.#threads.add(thread);
    worker.on('message', (reply: Reply) => this.#onReply(thread, reply));
    worker.on('error', (error) => {
      thread.failure = error;
    });
    worker.on('exit', () => this.#onExit(thread));
    worker.unref();
    return thread;
  }

  #onReply(thread: Thread, reply: Reply): void {
    const job = thread.job;
    thread.job = undefined;
    thread.worker.unref();
    thread.idleTimer = setTimeout(() => void this.#end(thread), workerIdleMs).unref();
    if ('body' in reply) job?.resolve(reply.body);
    else job?.reject(new Fault(reply.code, reply.message, { cause: reply.stack }));
    this.#dispatch();
  }

  #onExit(thread: Thread): void {
    this.#threads.delete(thread);
    clearTimeout(thread.idleTimer);
    const { job, failure } = thread;
    if (job === undefined) return;
    const outOfMemory = failure !== undefined && 'code' in failure && failure.code === 'ERR_WORKER_OUT_OF_MEMORY';
    this.#logger?.error({ error: failure?.message, signal: job.packed.signal }, 'a thread that unpacks requests died');
    if (this.#closed) job.reject(stopping());
    else if (outOfMemory) job.reject(tooLarge(job.packed.bytesMax));
    // The body went with the thread; the client still has it.
    else job.reject(new Fault('unavailable', 'interrupted', { retryAfterMs, cause: failure }));
    this.#dispatch();
  }

  async #end(thread: Thread): Promise<void> {
    await thread.worker.terminate();
  }
}

interface Thread {
  readonly worker: Worker;
  job: Job | undefined;
  idleTimer: NodeJS.Timeout | undefined;
  failure: Error | undefined;
}

interface Job {
  readonly packed: Packed;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (fault: Fault) => void;
}

function stopping(): Fault {
  return new Fault('unavailable', 'stopping', { retryAfterMs });
}

/** The bytes with a buffer of their own, as they must be to be handed over: pieces from a socket share one. */
export function alone(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) return bytes as Uint8Array<ArrayBuffer>;
  return new Uint8Array(bytes);
}
