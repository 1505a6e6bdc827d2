import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Batch, Frame, Signal } from '../../../src/base/index.ts';
import type { Destination, Page, PageRequest, Readers, Store } from '../../../src/stores/contract.ts';
import { memoryReaders } from '../../kit/memory-readers.ts';
import { frame, type World, worldOfNow } from './given.ts';
import { logCases } from './logs.ts';
import { metricCases } from './metrics.ts';
import { traceCases } from './traces.ts';

// One suite for every store. The data of all cases are written to it, each batch twice, and each question is asked of it
// and of the contract's plainest form, which holds the same data: the answers must be the same, record by record.
//
// A new store: a file beside embedded.test.ts. A new case: an entry in traces.ts, logs.ts or metrics.ts.

/** Rows of an answer, in the order in which they came, without what is a store's own matter (ids, cursors). */
export interface Answer {
  readonly rows: readonly unknown[];
  /** Where a store says so its rows must be among the right ones; otherwise they must be all of them. */
  readonly incomplete: boolean;
}

export interface Question {
  readonly name: string;
  ask(readers: Readers, world: World): Promise<Answer>;
}

/** What a signal contributes. */
export interface Cases {
  /** Export requests in protobuf, each with the number of its records. */
  requests(world: World): readonly { readonly body: Uint8Array; readonly records: number }[];
  /** Gives the same to the plainest form. */
  fill(memory: ReturnType<typeof memoryReaders>, world: World): void;
  readonly questions: readonly Question[];
}

const casesOf: Readonly<Record<Signal, Cases>> = { traces: traceCases, logs: logCases, metrics: metricCases };

export const never: AbortSignal = new AbortController().signal;

/** Stores show what they have taken within this time; counted once for all questions. */
const visibleWithinMs = 15_000;

/**
 * Declares the tests of a store.
 * @param open  A store without data. Closed at the end.
 * @param known Names of questions that the store answers differently, each with the reason: expected to fail, so that one
 *   that no longer does shows.
 */
export function holdsContract(
  name: string,
  takes: readonly Signal[],
  open: (world: World) => Promise<Store>,
  known: Readonly<Record<string, string>> = {},
): void {
  describe(name, () => {
    const world = worldOfNow();
    const memory = memoryReaders();
    let store: Store | undefined;
    let visibleMs = 0;

    beforeAll(async () => {
      store = await open(world);
      for (const signal of takes) {
        casesOf[signal].fill(memory, world);
        const frames = casesOf[signal]
          .requests(world)
          .map(({ body, records }, index) => frame(index + 1, body, records, world.start + BigInt(index)));
        await writeTwice(store.destination!, signal, frames);
      }
      visibleMs = performance.now() + visibleWithinMs;
    });
    afterAll(() => store?.[Symbol.asyncDispose]());

    for (const signal of takes) {
      describe(signal, () => {
        for (const question of casesOf[signal].questions) {
          const reason = known[question.name];
          const declare = reason === undefined ? it : it.fails;
          declare(`${question.name}${reason === undefined ? '' : `: not the same, ${reason}`}`, async () => {
            const right = await question.ask(memory, world);
            const answer = await askUntil(() => question.ask(store!.readers, world), right, visibleMs);
            if (answer.incomplete) expect(right.rows).toEqual(expect.arrayContaining([...answer.rows]));
            else expect(answer.rows).toEqual(right.rows);
          });
        }
      });
    }
  });
}

/** Every page of a list. Fails where a row comes twice, or where a page is fuller than it may be. */
export async function allPages<T>(
  read: (page: PageRequest) => Promise<Page<T>>,
  limit: number,
): Promise<{ items: T[]; incomplete: boolean }> {
  const items: T[] = [];
  let incomplete = false;
  let cursor: string | undefined;
  do {
    const page = await read({ limit, cursor });
    expect(page.items.length).toBeLessThanOrEqual(limit);
    items.push(...page.items);
    incomplete ||= page.incomplete;
    cursor = page.next;
    expect(items.length).toBeLessThan(10_000); // pages that never end
  } while (cursor !== undefined);
  return { items, incomplete };
}

async function askUntil(ask: () => Promise<Answer>, right: Answer, endMs: number): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    if (isDeepStrictEqual(answer.rows, right.rows) || performance.now() > endMs) return answer;
    await sleep(100);
  }
}

/** As a restart in the wrong moment does it. Whole, and then request by request: the cuts of batches are not the same. */
async function writeTwice(destination: Destination, signal: Signal, frames: readonly Frame[]): Promise<void> {
  await writeAll(destination, signal, frames);
  for (const each of frames) await writeAll(destination, signal, [each]);
}

async function writeAll(destination: Destination, signal: Signal, frames: readonly Frame[]): Promise<void> {
  let left = frames;
  for (let attempts = 0; left.length > 0; attempts++) {
    if (attempts === 50) throw new Error('written 50 times, and still to be sent again');
    const result = await destination.write(batchOf(signal, left), never);
    if (result.kind === 'split') throw new Error(`refused: ${result.reason}`);
    expect(result.refused).toEqual([]);
    if (result.kind === 'settled') return;
    const { pending } = result;
    if (pending !== 'all') left = left.filter((_, index) => pending.includes(index));
    await sleep(Math.min(result.afterMs ?? 100, 1_000));
  }
}

function batchOf(signal: Signal, frames: readonly Frame[]): Batch {
  return {
    signal,
    logId: 'c0'.repeat(16),
    frames,
    records: frames.reduce((sum, { records }) => sum + records, 0),
    sizeBytes: frames.reduce((sum, { body }) => sum + body.byteLength, 0),
  };
}
