import type { Fault, Signal } from '../base/index.ts';
import { messageCharactersMax } from './limits.ts';

/** Who sent a request, as far as the connection tells. */
export interface Sender {
  /** Without port, as `readAddress` spells it; '' where nobody can tell: this process itself, a proxy that is not trusted. */
  readonly address: string;
  /** `internal`: made by this process. */
  readonly protocol: 'grpc' | 'http/protobuf' | 'http/json' | 'internal';
}

/** What became of a request that was accepted; `rejected` > 0 or a non-empty `message` makes a partial success. */
export interface Accepted {
  /** Spans, data points or log records that were rejected; all others are durable. */
  readonly rejected: number;
  /** Why, or a warning where `rejected` is 0; '' on full success. */
  readonly message: string;
}

/** What a client is told of it: a message of a length that somebody reads. */
export function readable({ rejected, message }: Accepted): Accepted {
  if (message.length <= messageCharactersMax) return { rejected, message };
  return { rejected, message: `${message.slice(0, messageCharactersMax)} …` };
}

/** Where a request may grow while it is processed. */
export interface Room {
  /** Takes room for more bytes, which is given back with that of the body; a Fault `unavailable` where there is none. */
  reserve(bytes: number): Fault | undefined;
}

/**
 * What a receiver hands each request to. Resolves when the request is on disk.
 * @param body One uncompressed Export…ServiceRequest in protobuf; the receiver does not touch it afterwards.
 * @param room undefined: this process asks itself, for little.
 * @throws Fault `malformed` with the offset, `tooLarge`, `unavailable` with retryAfterMs, …
 */
export type Accept = (signal: Signal, body: Uint8Array, sender: Sender, room?: Room) => Promise<Accepted>;
