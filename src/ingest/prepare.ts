import { randomBytes } from 'node:crypto';
import type { Signal } from '../base/index.ts';
import { type Limits, resourceText, rewrite, type Walked, walk } from '../otlp/index.ts';
import { requestDigest } from './digest.ts';
import { inlineMendBytesMax } from './limits.ts';

/** A request that was checked: what is done before enrichment and the log, and may be done in a thread. */
export interface Prepared {
  /**
   * 16 bytes. Made of the bytes that came: what is added later may differ between two tries. Random where `recognise` is
   * false: stores make their ids of it, and the second of two equal requests would be taken for the first come again.
   */
  readonly digest: Uint8Array;
  /** The message without the records that were rejected. */
  readonly bytes: Uint8Array;
  readonly walked: Walked;
  readonly rejected: number;
  readonly message: string;
  readonly rejections: readonly { readonly reason: string; readonly count: number; readonly first: string }[];
  /** False where two equal requests may both be meant: log records without any time. */
  readonly recognise: boolean;
  /** Records by service, in wire order; '' where a resource names none. */
  readonly services: readonly { readonly name: string; readonly records: number }[];
}

export interface Preparation {
  readonly signal: Signal;
  readonly tenant: string;
  /** See `openDigestSecret`. */
  readonly digestSecret: Uint8Array;
  readonly body: Uint8Array;
  readonly limits: Limits;
  readonly receivedUnixNano: bigint;
}

/** @throws Fault `malformed`, `tooLarge`. */
export function prepare(task: Preparation): Prepared {
  return finish(task, checked(task));
}

/**
 * The same, but undefined where something must be mended in a body above `inlineMendBytesMax`: that shall be done elsewhere.
 * @throws Fault `malformed`, `tooLarge`.
 */
export function prepareQuickly(task: Preparation): Prepared | undefined {
  const first = checked(task);
  return first.clean || task.body.length <= inlineMendBytesMax ? finish(task, first) : undefined;
}

function checked({ signal, body, limits, receivedUnixNano }: Preparation): Walked {
  return walk(signal, body, limits, receivedUnixNano);
}

function finish(task: Preparation, first: Walked): Prepared {
  const { signal, tenant, body, limits, receivedUnixNano } = task;
  const recognise = first.hasTimestamp;
  const digest = recognise ? requestDigest(task.digestSecret, tenant, signal, body) : randomBytes(16);
  const fixed = first.clean
    ? { bytes: body, rejected: 0, message: '', rejections: [] }
    : rewrite(signal, body, limits, receivedUnixNano);
  const walked = first.clean ? first : walk(signal, fixed.bytes, limits, receivedUnixNano);
  return {
    digest,
    bytes: fixed.bytes,
    walked,
    rejected: fixed.rejected,
    message: fixed.message,
    rejections: fixed.rejections,
    recognise,
    services: walked.resources
      .filter(({ records }) => records > 0)
      .map((resource) => ({
        name: resourceText(fixed.bytes, resource, 'service.name') ?? '',
        records: resource.records,
      })),
  };
}
