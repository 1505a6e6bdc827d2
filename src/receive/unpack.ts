import type { Signal } from '../base/index.ts';
import { jsonToProtobuf } from '../otlp/index.ts';
import { declaredSize, decompress, type Encoding } from './encodings.ts';
import { inlineDecompressedBytesMax, inlineJsonBytesMax } from './limits.ts';

/** A body as it came, and what it takes to make one uncompressed protobuf message of it. */
export interface Packed {
  readonly signal: Signal;
  readonly encoding: Encoding | 'identity';
  readonly format: 'protobuf' | 'json';
  readonly body: Uint8Array;
  /** Of the decompressed body, and of the protobuf made of JSON. */
  readonly bytesMax: number;
}

/**
 * Makes the protobuf message: decompresses, then converts JSON. Pure; takes as long as the body is large.
 * @throws Fault `malformed`, `tooLarge`.
 */
export function unpack({ signal, encoding, format, body, bytesMax }: Packed): Uint8Array {
  const plain = encoding === 'identity' ? body : decompress(encoding, body, bytesMax);
  return format === 'json' ? jsonToProtobuf(signal, plain) : plain;
}

/**
 * Whether `unpack` returns within a millisecond or two, so that doing it here and now costs less than a thread would:
 * judged by sizes, where the body tells its own. A body that tells none is judged by what is usual.
 */
export function isQuick({ encoding, format, body }: Packed): boolean {
  if (encoding === 'identity') return format === 'protobuf' || body.length <= inlineJsonBytesMax;
  const size = declaredSize(encoding, body) ?? body.length * usualRatio[encoding];
  // A size that is less than what came is a lie, or the last of several parts.
  if (size < body.length - framingBytes) return false;
  return size <= (format === 'json' ? inlineJsonBytesMax : inlineDecompressedBytesMax);
}

/** What telemetry compresses to. */
const usualRatio = { gzip: 12, deflate: 12, zstd: 12, snappy: 4 } as const satisfies Record<Encoding, number>;
/** What gzip and zstd may add to a body that does not compress. */
const framingBytes = 64;
