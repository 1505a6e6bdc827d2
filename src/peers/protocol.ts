import { hash, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Fault, joinOwed, owedNames, type Signal, signals } from '../base/index.ts';
import type { LoggedFrame } from '../wal/index.ts';
import { headBytesMax, textBytesMax } from './limits.ts';

// One frame as a message: length of the head (4 bytes, little endian), CRC-32 of head and body (4), head (JSON), body.
// Sent by POST /v1/frames; answered by a JSON object, `Answer`. Questions are a GET of a few REST paths. Pure.

const prefixBytes = 8;

export const framesPath = '/v1/frames';
/** What a replica answers to others as it would to anybody over REST. */
export const askedPaths: readonly string[] = ['/health', '/api/v1/pipeline/status', '/api/v1/pipeline/dead-letters'];
/** Header of every answer: random, of the process that answers. A process that asks itself sees it by that. */
export const instanceHeader = 'watchingcat-instance';

/** What one replica gives to another. */
export interface Handed {
  readonly signal: Signal;
  readonly tenant: string;
  readonly digest: Uint8Array;
  readonly receivedUnixNano: bigint;
  readonly records: number;
  readonly rejected: number;
  readonly message: string;
  /** Destinations that are still owed the frame; at least one. */
  readonly outstanding: readonly string[];
  readonly body: Uint8Array;
}

export type Answer =
  /** On disk there. `repeat`: it was before. `without`: destinations that it does not deliver to, which are owed it still. */
  | { readonly kind: 'taken'; readonly repeat: boolean; readonly without: readonly string[] }
  /** Not now: another replica may. */
  | { readonly kind: 'later'; readonly reason: string }
  /** Never by this replica. `without`: as above; empty where that is not the reason. */
  | { readonly kind: 'never'; readonly reason: string; readonly without: readonly string[] };

export function handedOf(frame: LoggedFrame, outstanding: readonly string[]): Handed {
  const { signal, tenant, digest, receivedUnixNano, records, answer, body } = frame;
  const { rejected, message } = answer;
  return { signal, tenant, digest, receivedUnixNano, records, rejected, message, outstanding, body };
}

/** @returns Pieces of one message. The body is not copied. */
export function encodeHanded({ body, digest, receivedUnixNano, ...rest }: Handed): readonly Uint8Array[] {
  const head = Buffer.from(
    JSON.stringify({
      ...rest,
      digest: Buffer.from(digest).toString('hex'),
      receivedUnixNano: String(receivedUnixNano),
    }),
  );
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32LE(head.byteLength);
  prefix.writeUInt32LE(crc32(body, crc32(head)), 4);
  return [prefix, head, body];
}

/** @throws Fault `malformed` for anything that `encodeHanded` did not make. */
export function decodeHanded(message: Uint8Array): Handed {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const headBytes = bytes.byteLength < prefixBytes ? -1 : bytes.readUInt32LE(0);
  const bodyAt = prefixBytes + headBytes;
  if (headBytes < 2 || headBytes > headBytesMax || bodyAt > bytes.byteLength) throw malformed('its head');
  if (crc32(bytes.subarray(prefixBytes)) !== bytes.readUInt32LE(4)) throw malformed('its checksum');
  let head: unknown;
  try {
    head = JSON.parse(bytes.toString('utf8', prefixBytes, bodyAt));
  } catch (error) {
    throw malformed('its head', error);
  }
  if (typeof head !== 'object' || head === null) throw malformed('its head');
  const at = head as Readonly<Record<string, unknown>>;
  const text = (key: string, pattern: RegExp): string => {
    const value = at[key];
    if (typeof value !== 'string' || !pattern.test(value) || Buffer.byteLength(value) > textBytesMax) {
      throw malformed(key);
    }
    return value;
  };
  const count = (key: string): number => {
    const value = at[key];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed(key);
    return value;
  };
  const signal = signals.find((each) => each === at['signal']);
  if (signal === undefined) throw malformed('signal');
  const { outstanding } = at;
  if (!Array.isArray(outstanding) || outstanding.length === 0) throw malformed('outstanding');
  if (!outstanding.every((name): name is string => typeof name === 'string')) throw malformed('outstanding');
  const joined = joinOwed(outstanding);
  const names = owedNames(joined);
  // Each of them must come back whole out of the log.
  if (names?.length !== outstanding.length || names.includes('')) throw malformed('outstanding');
  if (Buffer.byteLength(joined) > textBytesMax) throw malformed('outstanding');
  const body = new Uint8Array(bytes.buffer, bytes.byteOffset + bodyAt, bytes.byteLength - bodyAt);
  const receivedUnixNano = BigInt(text('receivedUnixNano', /^\d{1,19}$/));
  if (receivedUnixNano >= 2n ** 63n) throw malformed('receivedUnixNano');
  return {
    signal,
    tenant: text('tenant', /^/),
    digest: Uint8Array.from(Buffer.from(text('digest', /^[0-9a-f]{32}$/), 'hex')),
    receivedUnixNano,
    records: uint32(count('records')),
    rejected: uint32(count('rejected')),
    message: text('message', /^/),
    outstanding: names,
    body,
  };
}

function uint32(value: number): number {
  if (value >= 2 ** 32) throw malformed('a count');
  return value;
}

function malformed(what: string, cause?: unknown): Fault {
  return new Fault('malformed', `not a frame of another replica: ${what}`, { cause });
}

/** An answer as it comes over the wire; undefined where it is none. */
export function readAnswer(text: string): Answer | undefined {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return undefined; // whoever sent this is no replica
  }
  if (typeof read !== 'object' || read === null) return undefined;
  const { kind, repeat, reason, without } = read as Readonly<Record<string, unknown>>;
  if (kind === 'later' && typeof reason === 'string') return { kind, reason };
  if (!Array.isArray(without) || !without.every((name): name is string => typeof name === 'string')) return undefined;
  if (kind === 'taken' && typeof repeat === 'boolean') return { kind, repeat, without };
  if (kind === 'never' && typeof reason === 'string') return { kind, reason, without };
  return undefined;
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Whether an `authorization` header shows the token. Takes as long for a wrong one as for a right one. */
export function isAuthorised(authorization: string | undefined, token: string): boolean {
  const digestOf = (text: string) => hash('sha256', text, 'buffer');
  return timingSafeEqual(digestOf(authorization ?? ''), digestOf(`Bearer ${token}`));
}
