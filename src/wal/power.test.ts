import { expect, it } from 'vitest';
import { hex, isRequest, openTestLog, readAll, request } from '../../test/kit/log-kit.ts';
import { type Loss, LossyFiles, losses, seeded } from '../../test/kit/lossy-files.ts';
import type { Entry } from './contract.ts';

// Power is lost after each operation of a run, in each way; the log must then open with all that was acknowledged.

/** What a run promised by which operation of the journal. */
interface Ledger {
  readonly submitted: Map<string, Entry>;
  readonly acknowledged: { seq: number; entry: Entry; operation: number }[];
  /** Where a cursor was moved to, and by when that was flushed. */
  readonly settled: { cursor: string; seq: number; operation: number; flushed: number }[];
}

const segmentBytes = 16 * 1024;

/** Groups of requests, rolls, two cursors that move and free segments, a restart in the middle. */
async function run(files: LossyFiles): Promise<Ledger> {
  const ledger: Ledger = { submitted: new Map(), acknowledged: [], settled: [] };
  let log = await openTestLog(files, { segmentBytes });
  let n = 0;
  for (let round = 0; round < 36; round++) {
    if (round === 18) {
      await log[Symbol.asyncDispose]();
      log = await openTestLog(files, { segmentBytes });
    }
    const group = Array.from({ length: 1 + (round % 4) }, () => request(++n));
    for (const entry of group) ledger.submitted.set(hex(entry.digest), entry);
    const first = n - group.length + 1;
    await Promise.all(
      group.map(async (entry, i) => {
        const { answer, repeat } = await log.append(entry);
        expect({ answer, repeat }).toEqual({ answer: entry.answer, repeat: false });
        ledger.acknowledged.push({ seq: first + i, entry, operation: files.journal.length });
      }),
    );
    expect(log.durableSeq).toBe(n);
    for (const [name, behind] of [
      ['fast', 0],
      ['slow', 1],
    ] as const) {
      // Soon enough that a segment is free before the next one needs a file, and now and then not.
      if (round % 9 > 5 || n <= behind) continue;
      const moved = { cursor: name, seq: n - behind, operation: files.journal.length, flushed: 0 };
      ledger.settled.push(moved);
      log.cursor(name).settle(n - behind);
      await log.cursor(name).flush();
      moved.flushed = files.journal.length;
    }
    // Housekeeping runs between the groups.
    for (let turn = 0; turn < 40; turn++) await new Promise(setImmediate);
  }
  await log[Symbol.asyncDispose]();
  return ledger;
}

async function check(files: LossyFiles, ledger: Ledger, operations: number, random: () => number): Promise<void> {
  const acknowledged = ledger.acknowledged.filter(({ operation }) => operation <= operations);
  const log = await openTestLog(files, { segmentBytes });
  try {
    // A cursor may have fallen back, and never forward.
    let least = Number.POSITIVE_INFINITY;
    for (const name of log.cursorNames()) {
      const place = log.cursor(name).settledSeq;
      const most = ledger.settled.filter((moved) => moved.cursor === name && moved.operation <= operations).at(-1);
      expect(place).toBeLessThanOrEqual(Math.max(most?.seq ?? 0, log.stats().firstSeq - 1));
      const kept = ledger.settled.filter((moved) => moved.cursor === name && moved.flushed <= operations).at(-1);
      expect(place).toBeGreaterThanOrEqual(kept?.seq ?? 0);
      least = Math.min(least, place);
    }
    if (log.cursorNames().length === 0) least = 0;

    const { frames } = await readAll(files, log.durableSeq);
    const found = new Map(frames.map((frame) => [frame.seq, frame]));
    expect(found.size).toBe(frames.length);
    const invented = frames.filter((frame) => {
      const sent = ledger.submitted.get(hex(frame.digest));
      return sent === undefined || !isRequest(frame, sent);
    });
    expect(invented).toEqual([]);
    const missing = acknowledged.filter(({ seq, entry }) => {
      if (seq <= least) return false;
      const frame = found.get(seq);
      return frame === undefined || !isRequest(frame, entry);
    });
    expect(missing).toEqual([]);

    const some = acknowledged[Math.floor(random() * acknowledged.length)];
    if (some) expect(await log.append(some.entry)).toEqual({ answer: some.entry.answer, repeat: true });
    const before = log.durableSeq;
    const fresh = request(10_000 + operations, 300);
    expect((await log.append(fresh)).repeat).toBe(false);
    const { frames: after } = await readAll(files, log.durableSeq, before);
    expect(after.map((frame) => isRequest(frame, fresh))).toEqual([true]);
  } finally {
    await log[Symbol.asyncDispose]();
  }
}

it('A2 a frame is on disk before its append resolves: power lost after each operation, in each way', async () => {
  const files = new LossyFiles();
  const ledger = await run(files);
  expect(files.journal.length).toBeGreaterThan(200);
  expect(ledger.acknowledged.length).toBe(ledger.submitted.size);
  expect(files.journal.filter(({ kind }) => kind === 'unlink').length).toBeGreaterThan(1);
  expect(
    files.journal.filter((each) => each.kind === 'rename' && each.path.endsWith('/spare.new')).length,
  ).toBeGreaterThan(3);
  for (let operations = 0; operations <= files.journal.length; operations++) {
    const ways: readonly Loss[] = files.hasUnsynced(operations) ? losses : ['kept'];
    for (const loss of ways) {
      const random = seeded(operations);
      try {
        await check(files.afterPowerLoss(operations, loss, random), ledger, operations, random);
      } catch (error) {
        const last = files.journal[operations - 1];
        throw new Error(`after operation ${operations} (${last?.kind}), ${loss}`, { cause: error });
      }
    }
  }
}, 120_000);
