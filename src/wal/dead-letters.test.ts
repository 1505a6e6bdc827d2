import { describe, expect, it } from 'vitest';
import { request, TestClock } from '../../test/kit/log-kit.ts';
import { failure, LossyFiles, seeded } from '../../test/kit/lossy-files.ts';
import type { Frame } from '../base/index.ts';
import { type DeadLetter, type DeadLetters, type NewDeadLetter, openDeadLetters } from './dead-letters.ts';

const dir = '/data/dead-letters';

function open(files: LossyFiles, maxBytes = 2 ** 30): Promise<DeadLetters> {
  return openDeadLetters({ dir, maxBytes, clock: new TestClock(), files });
}

function letter(n: number, sizeBytes = 500): NewDeadLetter & { frame: Frame } {
  const { pieces, ...fields } = request(n, sizeBytes);
  return {
    destination: n % 2 === 0 ? 'elasticsearch' : 'jaeger',
    signal: n % 2 === 0 ? 'logs' : 'traces',
    logId: 'ab'.repeat(16),
    frame: { ...fields, seq: 1000 + n, body: Buffer.concat(pieces) },
    records: n % 3 === 0 ? undefined : [0, n],
    reason: `mapper_parsing_exception number ${n} – "ä"`,
  };
}

async function all(letters: DeadLetters, filter?: Parameters<DeadLetters['read']>[0]): Promise<DeadLetter[]> {
  return Array.fromAsync(letters.read(filter));
}

describe('dead letters', () => {
  it('come back as they went in, also after a restart', async () => {
    const files = new LossyFiles();
    for (const restart of [false, true]) {
      const letters = await open(files);
      if (!restart) for (let n = 1; n <= 9; n++) expect(await letters.add(letter(n))).toBe(true);
      const read = await all(letters);
      expect(read.length).toBe(9);
      for (const [i, found] of read.entries()) {
        const { destination, signal, logId, frame, records, reason } = letter(i + 1);
        expect(found).toMatchObject({ id: i + 1, destination, signal, logId, records, reason });
        const { seq, tenant, receivedUnixNano, records: count } = frame;
        expect(found.frame).toMatchObject({ seq, tenant, receivedUnixNano, records: count });
        expect(Buffer.from(found.frame.body).equals(frame.body)).toBe(true);
        expect(Buffer.from(found.frame.digest).equals(frame.digest)).toBe(true);
        expect(found.refusedRecords).toBe(records?.length ?? frame.records);
      }
      expect(letters.list().map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect((await all(letters, { destination: 'jaeger' })).map(({ id }) => id)).toEqual([1, 3, 5, 7, 9]);
      expect((await all(letters, { signal: 'logs', ids: new Set([1, 2, 4]) })).map(({ id }) => id)).toEqual([2, 4]);
      await letters[Symbol.asyncDispose]();
    }
  });

  it('are durable when add resolves', async () => {
    const files = new LossyFiles();
    await using letters = await open(files);
    const added: number[] = [];
    for (let n = 1; n <= 6; n++) {
      await letters.add(letter(n));
      added.push(files.journal.length);
    }
    await letters.forget([2]);
    const forgotten = files.journal.length;
    for (let operations = 0; operations <= files.journal.length; operations++) {
      for (const loss of ['lost', 'kept', 'reordered', 'torn512', 'zeroTail'] as const) {
        await using again = await open(files.afterPowerLoss(operations, loss, seeded(operations)));
        const ids = (await all(again)).map(({ id }) => id);
        for (const [i, operation] of added.entries()) {
          if (operation <= operations && i !== 1) expect(ids).toContain(i + 1);
        }
        if (operations >= forgotten) expect(ids).not.toContain(2);
        expect(await again.add(letter(7))).toBe(true);
        expect((await all(again)).at(-1)?.reason).toBe(letter(7).reason);
      }
    }
  });

  it('past the bound they are counted, named and gone; forgetting makes room', async () => {
    const files = new LossyFiles();
    await using letters = await open(files, 40_000);
    let kept = 0;
    while (await letters.add(letter(kept + 1, 3_000))) kept++;
    expect(kept).toBeGreaterThan(8);
    expect(letters.stats()).toMatchObject({ letters: kept, droppedLetters: 1, droppedRecords: 2 });
    expect(letters.stats().sizeBytes).toBeLessThanOrEqual(40_000);
    await letters.forget(letters.list().map(({ id }) => id));
    expect(letters.list()).toEqual([]);
    expect(await letters.add(letter(50, 3_000))).toBe(true);
    // An id is not used again.
    expect(letters.list().map(({ id }) => id)[0]).toBeGreaterThan(kept);
  });

  it('a file of letters that are all forgotten is deleted', async () => {
    const files = new LossyFiles();
    const letters = await open(files);
    for (let n = 1; n <= 5; n++) {
      const { frame, ...fields } = letter(n);
      await letters.add({ ...fields, frame: { ...frame, body: Buffer.alloc(3_000_000, n) } });
    }
    const size = files.usedBytes();
    await letters.forget([1, 2, 3]);
    expect(files.usedBytes()).toBeLessThan(size - 5_000_000);
    await letters[Symbol.asyncDispose]();
    await using again = await open(files);
    expect(again.list().map(({ id }) => id)).toEqual([4, 5]);
  });

  it('a letter that cannot be written is counted; the next one goes into a new file', async () => {
    const files = new LossyFiles();
    await using letters = await open(files);
    await letters.add(letter(1));
    files.onAttempt = ({ kind }) => {
      if (kind === 'sync') throw failure('EIO', dir);
    };
    expect(await letters.add(letter(2))).toBe(false);
    files.onAttempt = undefined;
    expect(await letters.add(letter(3))).toBe(true);
    expect(letters.stats()).toMatchObject({ letters: 2, droppedLetters: 1 });
    expect((await all(letters)).map(({ reason }) => reason)).toEqual([letter(1).reason, letter(3).reason]);
  });

  it('damage costs the letters that it hits, and they open', async () => {
    const files = new LossyFiles();
    const letters = await open(files);
    for (let n = 1; n <= 6; n++) await letters.add(letter(n));
    await letters[Symbol.asyncDispose]();
    const path = [...files.contents().keys()].find((name) => name.endsWith('.segment'))!;
    const size = files.contents().get(path)!.byteLength;
    for (let at = 4096; at < size; at += 97) {
      const damaged = new LossyFiles(files.contents());
      damaged.damage(path, (content) => {
        content[at]! ^= 0x10;
        return content;
      });
      await using again = await open(damaged);
      expect((await all(again)).length).toBeGreaterThanOrEqual(5);
      expect(await again.add(letter(9))).toBe(true);
    }
  });
});
