import { readAddress } from '../base/index.ts';
import { proxyHeaderBytesMax } from './limits.ts';

/** What the first bytes of a connection are. */
export type ProxyHeader =
  /** More is needed to tell. */
  | { readonly kind: 'incomplete' }
  /** Something else: it belongs to what is spoken over the connection. */
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed'; readonly reason: string }
  /** `address`: of the client; undefined where the proxy speaks for itself or knows none. */
  | { readonly kind: 'found'; readonly sizeBytes: number; readonly address: string | undefined };

const signature1 = Buffer.from('PROXY ');
const signature2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n');
/** Of version 1, CRLF included. Source: PROXY protocol, 2.1. */
const line1BytesMax = 107;
const head2Bytes = 16;

/**
 * Reads the header that a proxy puts in front of a connection. HTTP/1.1 and the preface of HTTP/2 (`PRI *`) begin otherwise.
 * @see HAProxy, "The PROXY protocol Versions 1 & 2".
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsLike(bytes, signature2)) return bytes.length < head2Bytes ? { kind: 'incomplete' } : binaryHeader(bytes);
  if (startsLike(bytes, signature1))
    return bytes.length < signature1.length ? { kind: 'incomplete' } : textHeader(bytes);
  return { kind: 'none' };
}

/** As far as there are bytes of both. */
function startsLike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return length > 0 ? bytes.compare(signature, 0, length, 0, length) === 0 : true;
}

function textHeader(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, line1BytesMax).indexOf('\r\n');
  if (end < 0) {
    return bytes.length < line1BytesMax
      ? { kind: 'incomplete' }
      : malformed(`no end of the line within ${line1BytesMax} bytes`);
  }
  const sizeBytes = end + 2;
  const [, family, source = '', destination = '', sourcePort = '', destinationPort = '', ...more] = bytes
    .toString('latin1', 0, end)
    .split(' ');
  if (family === 'UNKNOWN') return { kind: 'found', sizeBytes, address: undefined };
  if (family !== 'TCP4' && family !== 'TCP6') return malformed('neither TCP4, TCP6 nor UNKNOWN');
  const hasColon = family === 'TCP6';
  const address = source.includes(':') === hasColon ? readAddress(source) : undefined;
  const other = destination.includes(':') === hasColon ? readAddress(destination) : undefined;
  if (address === undefined || other === undefined) return malformed(`no address of ${family}`);
  if (!isPort(sourcePort) || !isPort(destinationPort) || more.length > 0) return malformed('no two ports');
  return { kind: 'found', sizeBytes, address };
}

function binaryHeader(bytes: Buffer): ProxyHeader {
  const versionAndCommand = bytes.readUInt8(12);
  const family = bytes.readUInt8(13) >> 4;
  const transport = bytes.readUInt8(13) & 0x0f;
  const restBytes = bytes.readUInt16BE(14);
  const sizeBytes = head2Bytes + restBytes;
  if (versionAndCommand >> 4 !== 2) return malformed('a version other than 2');
  const command = versionAndCommand & 0x0f;
  if (command > 1) return malformed('a command other than LOCAL and PROXY');
  if (family > 3 || transport > 2) return malformed('an address family or transport that does not exist');
  if (sizeBytes > proxyHeaderBytesMax) return malformed(`more than ${proxyHeaderBytesMax} bytes`);
  const addressBytes = family === 1 ? 4 : family === 2 ? 16 : 0;
  if (command === 1 && restBytes < 2 * addressBytes + (addressBytes > 0 ? 4 : 0))
    return malformed('too short for its addresses');
  if (bytes.length < sizeBytes) return { kind: 'incomplete' };
  // LOCAL: the proxy itself, such as a health check. UNSPEC and unix sockets: there is no address.
  if (command === 0 || addressBytes === 0) return { kind: 'found', sizeBytes, address: undefined };
  const raw = bytes.subarray(head2Bytes, head2Bytes + addressBytes);
  const written =
    family === 1
      ? raw.join('.')
      : Array.from({ length: 8 }, (_, index) => raw.readUInt16BE(2 * index).toString(16)).join(':');
  return { kind: 'found', sizeBytes, address: readAddress(written) };
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function malformed(reason: string): ProxyHeader {
  return { kind: 'malformed', reason: `PROXY protocol: ${reason}` };
}
