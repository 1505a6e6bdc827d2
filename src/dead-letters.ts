import type { DeadLetterSource } from './api/index.ts';
import { Fault, type Signal } from './base/index.ts';
import type { Delivery } from './deliver/index.ts';
import type { DeadLetters } from './wal/index.ts';

/** Letters that one call gives back; what is left is told, and the caller comes again. */
const replayLettersMax = 1_000;
/** How long one call goes on. */
const replayTimeMs = 20_000;

/**
 * Lists dead letters and gives them back to their destinations, one by one and one attempt each. A letter is removed when
 * its destination has it, and not before: whatever happens in between, it is delivered once more rather than lost.
 */
export function deadLetterDesk(
  letters: DeadLetters,
  destinations: readonly { readonly name: string; readonly replay: Delivery['replay'] }[],
): DeadLetterSource {
  let busy = false;
  return {
    list: (filter) => letters.list().filter((letter) => matches(letter, filter)),
    stats: () => letters.stats(),
    async replay(filter, cancel) {
      if (busy) throw new Fault('unavailable', 'dead letters are being replayed already', { retryAfterMs: 5_000 });
      busy = true;
      try {
        return await replay(filter, cancel);
      } finally {
        busy = false;
      }
    },
  };

  async function replay(filter: Filter, cancel: AbortSignal) {
    const end = performance.now() + replayTimeMs;
    const stop = AbortSignal.any([cancel, AbortSignal.timeout(replayTimeMs)]);
    const wanted = letters.list().filter((letter) => matches(letter, filter));
    const ids = new Set(wanted.slice(0, replayLettersMax).map(({ id }) => id));
    const replayed: number[] = [];
    const left: { id: number; destination: string; reason: string; refused: boolean }[] = [];
    /** A destination that fails is not asked for each letter again. */
    const failing = new Map<string, string>();
    let seen = 0;
    for await (const letter of letters.read({ ids })) {
      if (cancel.aborted || performance.now() > end) break;
      seen++;
      const { id, destination: name, signal, logId, frame, records } = letter;
      const key = `${name} ${signal}`;
      const destination = destinations.find((each) => each.name === name);
      const broken = destination === undefined ? `${name} is not configured` : failing.get(key);
      if (destination === undefined || broken !== undefined) {
        left.push({ id, destination: name, reason: broken ?? '', refused: false });
        continue;
      }
      const result = await destination
        .replay({ signal, logId, frame, records }, stop)
        .catch((thrown: unknown) => ({ kind: 'failed' as const, reason: Fault.from(thrown).message }));
      if (result.kind === 'taken') {
        await letters.forget([id]);
        replayed.push(id);
      } else {
        if (result.kind === 'failed') failing.set(key, result.reason);
        left.push({ id, destination: name, reason: result.reason, refused: result.kind === 'refused' });
        if (
          result.kind === 'refused' &&
          result.records !== undefined &&
          result.records.length < letter.refusedRecords
        ) {
          // Some of it was taken: the new letter is on disk before the old one goes.
          const smaller = { destination: name, signal, logId, frame, records: result.records, reason: result.reason };
          if (await letters.add(smaller)) await letters.forget([id]);
        }
      }
    }
    return { replayed: replayed.length, left, remaining: wanted.length - seen };
  }
}

type Filter = Parameters<DeadLetterSource['list']>[0];

function matches(letter: { id: number; destination: string; signal: Signal; reason: string }, filter: Filter): boolean {
  return (
    (filter.destination === undefined || letter.destination === filter.destination) &&
    (filter.signal === undefined || letter.signal === filter.signal) &&
    (filter.id === undefined || letter.id === filter.id) &&
    (filter.reason === undefined || letter.reason.toLowerCase().includes(filter.reason.toLowerCase()))
  );
}
