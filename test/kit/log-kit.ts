import { createHash } from 'node:crypto';
import type { Clock, Frame } from '../../src/base/index.ts';
import {
  type Damage,
  type Entry,
  type LogOptions,
  type OwnedLog,
  openLog,
  openLogReader,
} from '../../src/wal/index.ts';
import { type LossyFiles, seeded } from './lossy-files.ts';

// Logs in memory for tests: small segments, requests whose bytes follow from their number, and reading it all back.

export const dir = '/data/wal/traces';

/** A clock that stands still until it is told. */
export class TestClock implements Clock {
  wallMs = 1_700_000_000_000;
  monotonic = 0;

  nowMs(): number {
    return this.wallMs;
  }

  nowUnixNano(): bigint {
    return BigInt(this.wallMs) * 1_000_000n;
  }

  monotonicMs(): number {
    return this.monotonic;
  }

  advance(ms: number): void {
    this.wallMs += ms;
    this.monotonic += ms;
  }
}

/** A log of 12 KiB segments that never runs housekeeping of its own accord in the middle of a test. */
export function openTestLog(files: LossyFiles, options: Partial<LogOptions> = {}): Promise<OwnedLog> {
  return openLog({
    dir,
    signal: 'traces',
    maxBytes: 2 ** 30,
    segmentBytes: 12 * 1024,
    clock: new TestClock(),
    files,
    ...options,
  });
}

/** Request number `n`: always the same bytes, in three pieces, one of them empty now and then. */
export function request(n: number, sizeBytes = 100 + ((n * 397) % 1700), options: Partial<Entry> = {}): Entry {
  const random = seeded(n);
  const body = Buffer.allocUnsafe(sizeBytes);
  for (let at = 0; at < sizeBytes; at++) body[at] = random() * 256;
  const cut = Math.floor(random() * sizeBytes);
  return {
    tenant: n % 3 === 0 ? 'tenant-ä' : '',
    digest: digestOf(body),
    receivedUnixNano: 1_700_000_000_000_000_000n + BigInt(n),
    records: 1 + (n % 100),
    pieces: [body.subarray(0, cut), body.subarray(cut, cut), body.subarray(cut)],
    answer: n % 5 === 0 ? { rejected: n, message: `${n} spans without trace id` } : { rejected: 0, message: '' },
    recognise: true,
    ...options,
  };
}

function digestOf(body: Uint8Array): Buffer {
  return createHash('sha256').update(body).digest().subarray(0, 16);
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Those of readers that were closed. A reader takes a megabyte for each read, and of thousands the collector would be busy. */
const spareBuffers: Buffer[] = [];

/** All frames after `afterSeq`, read in small portions, and what damage was met. */
export async function readAll(
  files: LossyFiles,
  throughSeq: number,
  afterSeq = 0,
  limits = { bytesMax: 8 * 1024, recordsMax: 500 },
): Promise<{ frames: Frame[]; damage: Damage[] }> {
  const frames: Frame[] = [];
  const damage: Damage[] = [];
  const reader = await openLogReader({ dir, files });
  let lent = spareBuffers.splice(0);
  try {
    let after = afterSeq;
    while (after < throughSeq) {
      reader.recycle?.(lent);
      const read = await reader.read(after, throughSeq, limits);
      if (read.skippedThrough <= after) throw new Error(`the reader stands still at ${after}`);
      frames.push(...read.frames.map(ofItsOwn));
      lent = [...(read.buffers ?? [])];
      damage.push(...(read.damage ?? []));
      after = read.skippedThrough;
    }
  } finally {
    await reader[Symbol.asyncDispose]();
    spareBuffers.push(...lent);
  }
  return { frames, damage };
}

/** A frame that stays as it is when the buffer that it was read into is used again. */
function ofItsOwn(frame: Frame): Frame {
  return { ...frame, digest: Buffer.from(frame.digest), body: Buffer.from(frame.body) };
}

/** Compares a frame with the request that it must be. */
export function isRequest(frame: Frame, entry: Entry): boolean {
  return (
    frame.tenant === entry.tenant &&
    frame.receivedUnixNano === entry.receivedUnixNano &&
    frame.records === entry.records &&
    hex(frame.digest) === hex(entry.digest) &&
    Buffer.concat(entry.pieces).equals(frame.body)
  );
}
