import type { Reply } from './client.ts';
import type { Encoded, Version } from './encode.ts';
import { reasonCharsMax } from './limits.ts';

// What a reply means for the samples of its request. Pure. Sources: Prometheus Remote-Write 1.0, "Retries & Backoff", and
// 2.0, "Response", "Partial Write" and "Required Written Response Headers".

interface Why {
  readonly reason: string;
  /** What each sample gets that is there already, with a newer one after it. */
  readonly alreadyThere: boolean;
}

export type Verdict =
  | { readonly kind: 'stored' }
  /** All of them, for good. */
  | ({ readonly kind: 'refused' } & Why)
  /** Some of them, for good; with 1.0 none is stored while one is refused. `missing`: how many, where that was told. */
  | ({ readonly kind: 'partial'; readonly missing: number | undefined } & Why)
  /** The request as a whole is too large. */
  | { readonly kind: 'tooLarge'; readonly reason: string }
  /** The far side does not know 2.0. */
  | { readonly kind: 'older'; readonly reason: string }
  /** Not now. `doubtful`: it may be stored all the same. `failed`: the far side failed over it, which may be its own doing. */
  | {
      readonly kind: 'retry';
      readonly reason: string;
      readonly afterMs: number | undefined;
      readonly doubtful: boolean;
      readonly failed: boolean;
    };

/** @param nowMs Wall clock, for a Retry-After that is a date. */
export function verdict(
  reply: Reply,
  version: Version,
  sent: Pick<Encoded, 'doubles' | 'histograms'>,
  nowMs: number,
): Verdict {
  if (reply.kind === 'broken') {
    return { kind: 'retry', reason: printable(reply.reason), afterMs: undefined, doubtful: reply.sent, failed: false };
  }
  const { status } = reply;
  const said = printable(reply.body.toString('utf8'));
  const reason = said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}`;
  const count = sent.doubles + sent.histograms;
  const written = version === '2.0' ? writtenOf(reply.headers) : undefined;
  if (status >= 200 && status < 300) {
    if (version === '1.0' || count === 0) return { kind: 'stored' };
    // A server of 1.0 that does not look at the content type reads a request of 2.0 as an empty one.
    if (written === undefined) return { kind: 'older', reason: 'a 2xx without the headers that 2.0 requires' };
    if (written >= count) return { kind: 'stored' };
    const short = { reason: `HTTP ${status}, but ${written} of ${count} samples written`, alreadyThere: false };
    return written === 0 ? { kind: 'refused', ...short } : { kind: 'partial', missing: count - written, ...short };
  }
  const why = { reason, alreadyThere: !reply.cut && saysAlreadyThere(reply.body.toString('utf8')) };
  switch (status) {
    case 400:
    case 409: // Thanos' word for out of order
    case 422:
      if (written === undefined) return { kind: 'partial', missing: undefined, ...why };
      // Exemplars alone were refused: those are extras, the samples are stored.
      if (written >= count) return { kind: 'stored' };
      return written === 0 ? { kind: 'refused', ...why } : { kind: 'partial', missing: count - written, ...why };
    case 413:
      return { kind: 'tooLarge', reason };
    case 415:
      if (version === '2.0') return { kind: 'older', reason };
      break;
  }
  // 429 and 5xx are about load; all else (401, 403, 404, 3xx, …) is ours to mend, and no sample is to blame.
  const isGateway = status === 502 || status === 504;
  const afterMs = retryAfterMs(reply.headers['retry-after'], nowMs);
  const failed = status >= 500 && !isGateway && status !== 503 && afterMs === undefined;
  return { kind: 'retry', reason, afterMs, doubtful: isGateway, failed };
}

/** Samples and histograms together; undefined where neither header is there. */
function writtenOf(headers: { readonly [name: string]: string | undefined }): number | undefined {
  const doubles = headers['x-prometheus-remote-write-samples-written'];
  const histograms = headers['x-prometheus-remote-write-histograms-written'];
  if (doubles === undefined && histograms === undefined) return undefined;
  return numberOf(doubles) + numberOf(histograms);
}

function numberOf(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

/** One line for each sample, as Prometheus answers. */
function saysAlreadyThere(said: string): boolean {
  const lines = said.split('\n').filter((line) => line.trim() !== '');
  return lines.length > 0 && lines.every((line) => /out of order sample|duplicate sample for timestamp/i.test(line));
}

/** The Retry-After header: seconds, or a date. */
function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

/**
 * The first line, short and without what is in braces: there the far side repeats labels, whose values are payload.
 */
export function printable(said: string): string {
  const [first = ''] = said.split('\n', 1);
  const line = first
    .replace(/\{(?:[^{}"]|"(?:[^"\\]|\\.)*"?)*\}?/g, '{…}')
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  return line.length <= reasonCharsMax ? line : `${line.slice(0, reasonCharsMax)}…`;
}
