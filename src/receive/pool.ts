import { entryPath, Fault, ownBuffer, ThreadPool } from '../base/index.ts';
import { decompress, tooLarge } from './encodings.ts';
import { inlineDecompressedBytesMax, workerHeapMegabytesMax } from './limits.ts';
import type { ReceiveLogger } from './listener.ts';
import { isQuick, type Packed, unpack } from './unpack.ts';

/**
 * Unpacks bodies: small ones at once, on this thread; larger ones on threads that start with the first such body and end
 * when there are none. A thread that dies costs its own request only.
 * Not zlib's asynchronous functions: they use the thread pool in which the log's writes wait.
 */
export class UnpackPool {
  readonly #threads: ThreadPool<Packed, Uint8Array>;

  constructor(
    options: {
      logger?: ReceiveLogger | undefined;
      threadsMax?: number;
      heapMegabytesMax?: number;
      /** The module that threads run. */
      entry?: string;
    } = {},
  ) {
    const { logger, threadsMax } = options;
    this.#threads = new ThreadPool({
      name: 'receive',
      entry: options.entry ?? entryPath(import.meta.url, './worker.ts'),
      heapMegabytesMax: options.heapMegabytesMax ?? workerHeapMegabytesMax,
      ...(threadsMax === undefined ? {} : { threadsMax }),
      onDeath: (error) => logger?.error({ error: error?.message }, 'a thread that unpacks requests died'),
    });
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
    const body = ownBuffer(packed.body);
    return this.#threads.run({ ...packed, body }, [body.buffer], () => tooLarge(packed.bytesMax));
  }

  /** Fails what waits, ends the threads. May be called twice. */
  close(): Promise<void> {
    return this.#threads.close();
  }

  get threads(): number {
    return this.#threads.threads;
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
}
