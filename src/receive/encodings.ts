import { constants, gunzipSync, inflateRawSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { Fault } from '../base/index.ts';
import { unsnap } from './snappy.ts';

/** How a body can be compressed. 'identity' is not among them. */
export type Encoding = 'gzip' | 'deflate' | 'zstd' | 'snappy';

/** What HTTP clients may write into Content-Encoding. The Collector calls the zlib format both deflate and zlib. */
const httpNames: Readonly<Record<string, Encoding | 'identity'>> = {
  identity: 'identity',
  gzip: 'gzip',
  'x-gzip': 'gzip',
  deflate: 'deflate',
  zlib: 'deflate',
  zstd: 'zstd',
  snappy: 'snappy',
  'x-snappy-framed': 'snappy',
};
export const httpEncodings = 'gzip, deflate, zstd, snappy, x-snappy-framed, identity';

const grpcNames: Readonly<Record<string, Encoding | 'identity'>> = {
  identity: 'identity',
  gzip: 'gzip',
  deflate: 'deflate',
  zstd: 'zstd',
  snappy: 'snappy',
};
export const grpcEncodings = 'identity,gzip,deflate,zstd,snappy';

/** @throws Fault `unsupportedType`, also for more than one layer: each layer multiplies what a small body can cost. */
export function httpEncoding(contentEncoding: string | undefined): Encoding | 'identity' {
  if (contentEncoding === undefined || contentEncoding === '') return 'identity';
  const name = contentEncoding.trim().toLowerCase();
  if (Object.hasOwn(httpNames, name)) return httpNames[name] as Encoding | 'identity';
  throw new Fault('unsupportedType', `Content-Encoding must be one of ${httpEncodings}, once`);
}

/** undefined: not offered. */
export function grpcEncoding(name: string | undefined): Encoding | 'identity' | undefined {
  if (name === undefined) return 'identity';
  return Object.hasOwn(grpcNames, name) ? grpcNames[name] : undefined;
}

/**
 * Decompresses one body, and stops as soon as it is larger than `bytesMax`; never holds more than that and one chunk.
 * @throws Fault `malformed` where the body is damaged, cut short or followed by something else; `tooLarge`.
 */
export function decompress(encoding: Encoding, body: Uint8Array, bytesMax: number): Uint8Array {
  if (encoding === 'snappy') return unsnap(body, bytesMax);
  const options = {
    maxOutputLength: bytesMax,
    chunkSize: firstChunkBytes(encoding, body, bytesMax),
    rejectGarbageAfterEnd: true,
  };
  try {
    switch (encoding) {
      case 'gzip':
        return gunzipSync(body, options);
      case 'deflate':
        return isZlib(body) ? inflateSync(body, options) : inflateRawSync(body, options);
      case 'zstd':
        return zstdDecompressSync(body, { ...options, params: zstdParams });
    }
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(bytesMax);
    throw new Fault('malformed', `body is not valid ${encoding}`, { cause: thrown });
  }
}

/** What is made room for at first. Where it turns out to be more, there are more such chunks, which are joined. */
export function firstChunkBytes(encoding: Encoding, body: Uint8Array, bytesMax: number): number {
  // A few bytes that declare 64 MiB shall not be given them: V8 collects all of its garbage for that.
  const expected = Math.min(declaredSize(encoding, body) ?? body.length * 4, body.length * believedRatio, bytesMax);
  // One byte more, so that the end is seen in the first round.
  return Math.max(1024, expected + 1);
}

/** Telemetry is never compressed to less; zeros are, to a thousandth. */
const believedRatio = 256;

export function tooLarge(bytesMax: number): Fault {
  return new Fault('tooLarge', `request is larger than ${bytesMax} bytes`);
}

/**
 * Size after decompression as the body itself tells it, without decompressing. Only a hint: it may lie, and a gzip body
 * of several members tells the size of the last. undefined: it does not tell.
 */
export function declaredSize(encoding: Encoding, body: Uint8Array): number | undefined {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  switch (encoding) {
    case 'gzip':
      return body.length < 18 ? undefined : view.getUint32(body.length - 4, true); // RFC 1952, ISIZE
    case 'zstd':
      return zstdFrameSize(view);
    default:
      return undefined;
  }
}

// A window above the largest request is never needed; without a bound, a header of 10 bytes asks for 2 GiB.
const zstdParams = { [constants.ZSTD_d_windowLogMax]: 26 };

/** Frame_Content_Size of the first frame. Source: RFC 8878, 3.1.1.1. */
function zstdFrameSize(view: DataView): number | undefined {
  if (view.byteLength < 6 || view.getUint32(0, true) !== 0xfd2fb528) return undefined;
  const descriptor = view.getUint8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const at = 5 + (singleSegment ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] as number);
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  if (at + sizeBytes > view.byteLength) return undefined;
  switch (sizeBytes) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    case 8:
      return Number(view.getBigUint64(at, true));
    default:
      return undefined;
  }
}

/** RFC 1950, 2.2; without it the body is raw deflate, which some HTTP clients send under the same name. */
function isZlib(body: Uint8Array): boolean {
  const [first = 0, second = 0] = body;
  return (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0;
}
