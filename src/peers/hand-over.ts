import { isOwed } from '../base/index.ts';
import type { LoggedFrame, LogReader, OwnedLog } from '../wal/index.ts';
import { Asking } from './asking.ts';
import type { Peers } from './client.ts';
import { countWithinMs, inFlightMax, readBytesMax } from './limits.ts';
import { handedOf } from './protocol.ts';

/** A log whose frames are given to others, and who they are owed to. Nobody writes or delivers it any more. */
interface HandOverSource {
  readonly log: Pick<OwnedLog, 'durableSeq' | 'cursor' | 'setAside'>;
  readonly reader: LogReader<LoggedFrame>;
  /** Those that another replica can deliver to as well as this one. */
  readonly destinations: readonly string[];
}

/** Of one signal. */
interface HandedOver {
  /** That another replica took, for all or some of the destinations that were owed them. */
  readonly requests: number;
  readonly records: number;
  /** What nobody took; undefined where that is nothing. */
  readonly left: Left | undefined;
}

interface Left {
  readonly requests: number;
  readonly records: number;
  readonly bytes: number;
  readonly destinations: readonly string[];
  /** Numbers of the log behind those that were counted: at most so many requests more. */
  readonly uncounted: number;
  readonly reason: string;
}

/**
 * Gives what destinations have not got to other replicas, frame by frame, each acknowledged when it is on their disk. The
 * cursors move behind what was given without a gap, so that a start on the same disk does not deliver it again.
 * After the cancel nothing is given; what is left stays in the log, and is counted.
 */
export async function handOver(
  source: HandOverSource,
  peers: Peers,
  cancel: AbortSignal,
  onGiven: (records: number) => void,
): Promise<HandedOver> {
  const { log, reader, destinations } = source;
  const { durableSeq } = log;
  const settled = new Map(destinations.map((name) => [name, log.cursor(name).settledSeq]));
  /** A frame that they are owed was left: their cursors stay before it. */
  const blocked = new Set<string>();
  const asking = new Asking(peers, cancel);
  const taken = { requests: 0, records: 0 };
  const left = { requests: 0, records: 0, bytes: 0, destinations: new Set<string>() };
  let after = Math.min(durableSeq, ...settled.values());
  let countEndMs = Number.POSITIVE_INFINITY;
  while (after < durableSeq && performance.now() < countEndMs) {
    if (asking.over) countEndMs = Math.min(countEndMs, performance.now() + countWithinMs);
    const { frames, skippedThrough, damage } = await reader.read(after, durableSeq, {
      bytesMax: readBytesMax,
      recordsMax: Number.POSITIVE_INFINITY,
    });
    if (damage !== undefined && damage.length > 0) await log.setAside(damage);
    const through = Math.max(skippedThrough, frames.at(-1)?.seq ?? after);
    if (through <= after) break; // what should be there cannot be read: it is left
    const owed = frames
      .map((frame) => ({ frame, names: owedTo(frame, settled) }))
      .filter(({ names }) => names.length > 0);
    const remaining = new Map<string, number>();
    await eachLimited(owed, async ({ frame, names }) => {
      const kept = await asking.give(handedOf(frame, names));
      for (const name of kept) remaining.set(name, Math.min(frame.seq, remaining.get(name) ?? frame.seq));
      if (kept.length < names.length) {
        taken.requests++;
        taken.records += frame.records;
        onGiven(frame.records);
      }
      if (kept.length === 0) return;
      left.requests++;
      left.records += frame.records;
      left.bytes += frame.body.byteLength;
      for (const name of kept) left.destinations.add(name);
    });
    for (const name of destinations) {
      if (blocked.has(name)) continue;
      const first = remaining.get(name);
      const cursor = log.cursor(name);
      const safe = first === undefined ? through : first - 1;
      cursor.settleHanded(safe);
      if (first !== undefined) blocked.add(name);
    }
    // Now, so that a crash repeats no more than one read. Where it cannot be written the log says so, and tries again.
    await Promise.allSettled(destinations.map((name) => log.cursor(name).flush()));
    after = through;
  }
  const uncounted = durableSeq - after;
  if (left.requests === 0 && uncounted <= 0) return { ...taken, left: undefined };
  const names = uncounted > 0 ? destinations : [...left.destinations];
  return { ...taken, left: { ...left, destinations: names, uncounted, reason: asking.reason } };
}

/** The destinations that a frame is owed to: those that it is for and whose place in the log is before it. */
function owedTo(
  frame: Pick<LoggedFrame, 'seq' | 'outstanding'>,
  settledSeq: ReadonlyMap<string, number>,
): readonly string[] {
  return [...settledSeq].filter(([name, seq]) => frame.seq > seq && isOwed(frame, name)).map(([name]) => name);
}

/** In order of the list, so many at once. */
async function eachLimited<Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> {
  const waiting = items.values();
  await Promise.all(
    Array.from({ length: inFlightMax }, async () => {
      for (const item of waiting) await run(item);
    }),
  );
}
