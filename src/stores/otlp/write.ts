import { type Batch, type Clock, Fault, type Frame, type Signal, signals, systemClock } from '../../base/index.ts';
import { defaultLimits, walk } from '../../otlp/index.ts';
import type { Access, Destination, Refusal, WriteResult } from '../contract.ts';
import { GrpcClient } from './client.ts';
import { type Compression, encodeGzipMessage, encodeMessage, exportPath } from './encode.ts';
import { halve } from './halve.ts';
import {
  batchBytesMax,
  batchRecordsMax,
  doubtfulBatchesMax,
  inFlightMax,
  lingerMs,
  narrowingMax,
  narrowRequestsMax,
} from './limits.ts';
import { isDoubtful, verdict } from './verdict.ts';

export interface OtlpStoreOptions {
  /** Label of its metrics and name of its cursor: never change it. */
  readonly name: string;
  /** `http://host:4317`, `https://host:4317`; without a scheme as with http. 4317 where no port is given. */
  readonly endpoint: string;
  /** Where not given: no headers, the system's certificates. */
  readonly access?: Access;
  /** All three where not given. */
  readonly takes?: readonly Signal[];
  readonly compression?: Compression;
  /** Of the product, for `user-agent`. */
  readonly version?: string;
  readonly clock?: Clock;
  /** Milliseconds; for tests. */
  readonly deadlineMs?: number;
  readonly stallMs?: number;
}

/**
 * Forwards frames to another OTLP endpoint over gRPC, as they are. Connects at the first batch, not here.
 * @throws Error that says what is wrong with `endpoint`.
 */
export function openOtlpStore(options: OtlpStoreOptions): Destination {
  const clock = options.clock ?? systemClock;
  const gzip = options.compression === 'gzip';
  const client = new GrpcClient({
    endpoint: endpointUrl(options.endpoint),
    headers: options.access?.headers ?? {},
    tls: options.access?.tls,
    userAgent: `watchingcat/${options.version ?? '0'}`,
    ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
    ...(options.stallMs === undefined ? {} : { stallMs: options.stallMs }),
  });
  /** Doubtful answers so far, by what was sent. */
  const doubts = new Bounded<number>(doubtfulBatchesMax);
  const narrowing = new Bounded<Narrowing>(narrowingMax);

  async function send(signal: Signal, key: string, message: Batch, cancel: AbortSignal): Promise<WriteResult> {
    const pieces = gzip ? await encodeGzipMessage(message) : encodeMessage(message);
    const reply = await client.call(exportPath[signal], pieces, gzip, cancel);
    const attempts = doubts.get(key) ?? 0;
    const result = verdict(reply, clock.nowMs(), attempts);
    if (isDoubtful(reply) && result.kind === 'retry') doubts.set(key, attempts + 1);
    else doubts.delete(key);
    return result;
  }

  /**
   * Looks for the records that make the far side refuse a request, so that no other becomes a dead letter with them, and
   * gets one through that is only too large. Called again after a `retry`, it goes on where it was.
   */
  async function narrow(batch: Batch, frame: Frame, key: string, reason: string, cancel: AbortSignal) {
    const state = narrowing.get(key) ?? {
      parts: halvesOf(batch.signal, { bytes: frame.body, records: frame.records, firstRecord: 0 }),
      refused: [],
      requests: 0,
    };
    narrowing.delete(key);
    const refuse = (part: Part, why: string) => {
      for (let index = 0; index < part.records; index++) {
        state.refused.push({ frame: 0, record: part.firstRecord + index, count: 1, reason: why });
      }
    };
    if (state.parts.length === 0) return { kind: 'split', reason } as const;
    for (let part = state.parts[0]; part !== undefined; part = state.parts[0]) {
      const result = await send(
        batch.signal,
        `${key} ${part.firstRecord} ${part.records}`,
        asBatch(batch, frame, part),
        cancel,
      );
      if (result.kind === 'retry') {
        narrowing.set(key, state);
        return result;
      }
      state.parts.shift();
      state.requests++;
      if (result.kind === 'settled') {
        // How many, but not which: nothing of it is a dead letter.
        state.refused.push(...result.refused);
        continue;
      }
      const halves = state.requests < narrowRequestsMax ? halvesOf(batch.signal, part) : [];
      if (halves.length === 0) refuse(part, result.reason);
      else state.parts.unshift(...halves);
    }
    return { kind: 'settled', refused: state.refused } as const;
  }

  return {
    name: options.name,
    takes: new Set(options.takes ?? signals),
    limits: { batchBytesMax, batchRecordsMax, lingerMs, inFlightMax },
    async write(batch: Batch, cancel: AbortSignal): Promise<WriteResult> {
      const [frame, another] = batch.frames;
      const key = `${batch.signal} ${batch.logId} ${frame?.seq} ${batch.frames.at(-1)?.seq}`;
      const alone = another === undefined ? frame : undefined;
      if (alone !== undefined && narrowing.get(key) !== undefined) return narrow(batch, alone, key, '', cancel);
      const result = await send(batch.signal, key, batch, cancel);
      return result.kind === 'split' && alone !== undefined ? narrow(batch, alone, key, result.reason, cancel) : result;
    },
    async [Symbol.asyncDispose]() {
      client.close();
    },
  };
}

/** Some records of a request, in order. */
interface Part {
  readonly bytes: Uint8Array;
  readonly records: number;
  /** Index in the whole request. */
  readonly firstRecord: number;
}

/** `parts`: what is not settled, in order. */
interface Narrowing {
  readonly parts: Part[];
  readonly refused: Refusal[];
  requests: number;
}

/** Empty where it cannot be cut. */
function halvesOf(signal: Signal, part: Part): Part[] {
  try {
    const halves = halve(part.bytes);
    if (halves === undefined) return [];
    // Half of a request is no larger than the request was, which passed these limits at the door.
    const records = walk(signal, halves[0], defaultLimits).records;
    return [
      { bytes: halves[0], records, firstRecord: part.firstRecord },
      { bytes: halves[1], records: part.records - records, firstRecord: part.firstRecord + records },
    ];
  } catch (thrown) {
    // Not a request at all: it stays one piece, and becomes a dead letter rather than a stop for all that follow.
    if (thrown instanceof Fault) return [];
    throw thrown;
  }
}

function asBatch(batch: Batch, frame: Frame, part: Part): Batch {
  const frames = [{ ...frame, records: part.records, body: part.bytes }];
  return { ...batch, frames, records: part.records, sizeBytes: part.bytes.byteLength };
}

/** A map that forgets what was set first when it is full. */
class Bounded<T> {
  readonly #values = new Map<string, T>();
  readonly #sizeMax: number;

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  get(key: string): T | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: T): void {
    this.#values.set(key, value);
    const oldest = this.#values.keys().next();
    if (this.#values.size > this.#sizeMax && !oldest.done) this.#values.delete(oldest.value);
  }

  delete(key: string): void {
    this.#values.delete(key);
  }
}

/** Exported for its test. A path is refused: gRPC has its own, and it hints at an OTLP/HTTP address. */
export function endpointUrl(endpoint: string): URL {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`;
  if (!URL.canParse(withScheme)) throw new Error('the OTLP endpoint is not a URL such as http://collector:4317');
  const url = new URL(withScheme);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Error(`the OTLP endpoint must begin with http:// or https://, not ${url.protocol}//`);
  }
  if (url.pathname !== '/' || url.search !== '') {
    throw new Error('the OTLP endpoint must have no path: it is a gRPC endpoint, such as http://collector:4317');
  }
  // WHATWG drops a port that is the scheme's default: port 80 or 443 must be kept where it was written.
  if (url.port === '' && !/:(80|443)\/?$/.test(withScheme)) url.port = '4317';
  return url;
}
