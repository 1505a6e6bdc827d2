import { copyFile, cp, mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { placesApart } from '../../../test/kit/runs.ts';
import { type FileOps, realFiles } from './files.ts';
import {
  allLogs,
  day,
  folderOfOwn,
  frame,
  logBytes,
  logId,
  never,
  noon,
  openStore,
  request,
  spanBytes,
  write,
} from './kit.ts';

// A27 of the reliability catalogue: whatever is half done or damaged, the store opens, serves the rest, and no record is there twice.

const resource = { 'service.name': 'cart' };
const logFrame = (seq: number) =>
  frame(seq, request(resource, [logBytes({ time: noon + BigInt(seq), body: `${seq}` })]));

/** Lets the first operations through; then the process is dead to the disk. */
class DyingFiles implements FileOps {
  #left: number;
  done = 0;
  constructor(left: number) {
    this.#left = left;
  }
  #step(): void {
    if (this.#left-- <= 0) throw new Error('the process died');
    this.done++;
  }
  async writeSynced(path: string, pieces: readonly Uint8Array[]): Promise<void> {
    if (this.#left <= 0) {
      // Killed in the middle of writing.
      if (this.#left === 0) {
        const bytes = Buffer.concat(pieces);
        await writeFile(path, bytes.subarray(0, bytes.length / 2));
      }
      this.#step();
    }
    await realFiles.writeSynced(path, pieces);
    this.#step();
  }
  async sync(path: string): Promise<void> {
    this.#step();
    await realFiles.sync(path);
  }
  async syncFolder(path: string): Promise<void> {
    this.#step();
    await realFiles.syncFolder(path);
  }
  async rename(from: string, to: string): Promise<void> {
    this.#step();
    await realFiles.rename(from, to);
  }
  async remove(path: string): Promise<void> {
    this.#step();
    await realFiles.remove(path);
  }
}

/** What the delivery loop does after a restart: everything after what is kept comes again. */
async function replay(store: Awaited<ReturnType<typeof openStore>>, last: number): Promise<void> {
  const kept = store.keeper.keptThrough('logs', logId);
  for (let seq = kept + 1; seq <= last; seq++) await write(store, 'logs', [logFrame(seq)]);
}

const expected = (last: number) => Array.from({ length: last }, (_, n) => `${n + 1}`);

describe('a crash at each file operation', () => {
  it('of a roll loses nothing and doubles nothing', async () => {
    let finished = false;
    for (const operations of placesApart(1)) {
      if (finished) break;
      await using folder = await folderOfOwn();
      const only = { signals: new Set(['logs'] as const) };
      {
        await using store = await openStore(folder.path, only);
        await write(store, 'logs', [logFrame(1), logFrame(2)]);
        await store.rollAll();
      }
      {
        await using store = await openStore(folder.path, { ...only, files: new DyingFiles(operations) });
        await write(store, 'logs', [logFrame(3)]);
        finished = await store.rollAll().then(
          () => true,
          () => false,
        );
        // What could not be rolled is still answered from memory.
        expect((await allLogs(store)).map(({ body }) => body)).toEqual(expected(3));
      }
      await using store = await openStore(folder.path, only);
      await replay(store, 4);
      expect([operations, (await allLogs(store)).map(({ body }) => body)]).toEqual([operations, expected(4)]);
      await store.rollAll();
      expect((await allLogs(store)).map(({ body }) => body)).toEqual(expected(4));
      expect(store.stats().logs!.damaged).toBe(0);
      expect(operations).toBeLessThan(30);
    }
  });

  it('of a merge loses nothing and doubles nothing', async () => {
    await using template = await folderOfOwn();
    const only = { signals: new Set(['logs'] as const) };
    {
      await using store = await openStore(template.path, { ...only, files: { ...realFiles } });
      for (let seq = 1; seq <= 7; seq++) {
        await write(store, 'logs', [logFrame(seq)]);
        await store.rollAll();
      }
    }
    for (const operations of placesApart(3)) {
      if (operations >= 36) break;
      await using folder = await folderOfOwn();
      await mkdir(join(folder.path, 'logs'));
      for (const name of await readdir(join(template.path, 'logs')))
        await copyFile(join(template.path, 'logs', name), join(folder.path, 'logs', name));
      {
        // The eighth file makes the merge worth while; its own roll takes the first operations.
        await using store = await openStore(folder.path, { ...only, files: new DyingFiles(operations) });
        await write(store, 'logs', [logFrame(8)]);
        await store.rollAll().catch(() => undefined);
        await store.mergeAll();
        expect((await allLogs(store)).map(({ body }) => body)).toEqual(expected(8));
      }
      await using store = await openStore(folder.path, only);
      await replay(store, 8);
      expect([operations, (await allLogs(store)).map(({ body }) => body)]).toEqual([operations, expected(8)]);
      expect(store.stats().logs!.damaged).toBe(0);
    }
  });
});

describe('a crash at each file operation of an erasure', () => {
  const demo = { ...resource, 'watchingcat.demo': true };
  const only = { signals: new Set(['logs'] as const) };
  const bodies = async (store: Awaited<ReturnType<typeof openStore>>) =>
    (await allLogs(store)).map(({ body }) => String(body));
  const erase = (store: Awaited<ReturnType<typeof openStore>>) =>
    store.eraseByResource('watchingcat.demo', 'true', never);
  const marked = (seq: number, mark: 'demo' | 'mine') =>
    frame(
      seq,
      request(mark === 'demo' ? demo : resource, [logBytes({ time: noon + BigInt(seq), body: `${mark} ${seq}` })]),
    );

  it('takes nothing else away, and what it removed stays removed', async () => {
    await using template = await folderOfOwn();
    {
      await using store = await openStore(template.path, only);
      await write(store, 'logs', [marked(1, 'demo'), marked(2, 'mine')]);
      await store.rollAll();
      await write(store, 'logs', [marked(3, 'demo')]);
      await store.rollAll();
      await write(store, 'logs', [marked(4, 'mine')]);
      await store.rollAll();
    }
    let finished = false;
    for (const operations of placesApart(5)) {
      if (finished) break;
      await using folder = await folderOfOwn();
      await cp(template.path, folder.path, { recursive: true });
      const hot = [marked(5, 'demo'), marked(6, 'mine')];
      const mine = ['mine 2', 'mine 4', 'mine 6'];
      let left: string[];
      {
        await using store = await openStore(folder.path, { ...only, files: new DyingFiles(operations) });
        await write(store, 'logs', hot);
        finished = await erase(store).then(
          ({ logs }) => logs === 3,
          () => false,
        );
        left = await bodies(store);
        expect([operations, left.filter((body) => body.startsWith('mine'))]).toEqual([operations, mine]);
        if (finished) expect(left).toEqual(mine);
      }
      await using store = await openStore(folder.path, only);
      const kept = store.keeper.keptThrough('logs', logId);
      for (const each of hot) if (each.seq > kept) await write(store, 'logs', [each]);
      // The last commit may have reached the disk though its end was not heard of.
      const found = await bodies(store);
      expect([operations, found.filter((body) => !left.includes(body))]).toEqual([operations, []]);
      expect([operations, found.filter((body) => body.startsWith('mine'))]).toEqual([operations, mine]);
      expect(store.stats().logs!.damaged).toBe(0);
      expect((await erase(store)).logs).toBe(found.length - mine.length);
      expect([operations, await bodies(store)]).toEqual([operations, mine]);
      expect(operations).toBeLessThan(80);
    }
  });
});

describe('damage', () => {
  /** Two files with a record each; the names of what is in the folder, oldest first. */
  async function twoFiles(path: string): Promise<string[]> {
    await using store = await openStore(path);
    for (const seq of [1, 2]) {
      const body = request(resource, [logBytes({ time: noon + BigInt(seq - 1) * 3_600_000_000_000n, body: `${seq}` })]);
      await write(store, 'logs', [frame(seq, body, 1, noon + 3_600_000_000_000n)]);
      await store.rollAll();
    }
    return (await readdir(join(path, 'logs'))).sort();
  }
  const bodies = async (store: Awaited<ReturnType<typeof openStore>>) => (await allLogs(store)).map(({ body }) => body);
  const facts = (names: readonly string[], hour: string) =>
    names.find((name) => name.startsWith(`2026-11-23T${hour}`) && /[0-9a-f]{12}\.parquet$/.test(name))!;
  async function flip(path: string, at: number): Promise<void> {
    const file = await open(path, 'r+');
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    byte[0]! ^= 0xff;
    await file.write(byte, 0, 1, at);
    await file.close();
  }

  it('a Parquet file that is missing or cut is set aside, and the others are served', async () => {
    for (const damage of ['missing', 'cut']) {
      await using folder = await folderOfOwn();
      const path = join(folder.path, 'logs', facts(await twoFiles(folder.path), '12'));
      if (damage === 'missing') await rm(path);
      else await truncate(path, 100);
      await using store = await openStore(folder.path);
      expect(await bodies(store)).toEqual(['2']);
      expect(store.stats().logs).toMatchObject({ damaged: 1, files: 1 });
      expect((await readdir(join(folder.path, 'logs', 'quarantine'))).length).toBeGreaterThanOrEqual(3);
      // Nothing that was set aside comes again: the log has forgotten it.
      expect(store.keeper.keptThrough('logs', logId)).toBe(2);
    }
  });

  it('flipped bytes anywhere in a Parquet file never bring the store down', async () => {
    await using folder = await folderOfOwn();
    const names = await twoFiles(folder.path);
    const name = facts(names, '12');
    const path = join(folder.path, 'logs', name);
    const { size } = await stat(path);
    const whole = await readFile(path);
    for (const at of [
      0,
      5,
      20,
      Math.floor(size / 3),
      Math.floor(size / 2),
      size - 200,
      size - 30,
      size - 6,
      size - 1,
    ]) {
      await using copy = await folderOfOwn();
      await mkdir(join(copy.path, 'logs'));
      for (const each of names) await copyFile(join(folder.path, 'logs', each), join(copy.path, 'logs', each));
      await writeFile(join(copy.path, 'logs', name), whole);
      await flip(join(copy.path, 'logs', name), at);
      await using store = await openStore(copy.path);
      await store.scrub();
      const found = await bodies(store);
      expect([at, found]).toEqual([at, ['2']]);
      expect(store.stats().logs).toMatchObject({ damaged: 1, files: 1 });
    }
  });

  it('a file that is damaged while the store runs is left out, with a warning', async () => {
    await using folder = await folderOfOwn();
    const names = await twoFiles(folder.path);
    await using store = await openStore(folder.path);
    await writeFile(join(folder.path, 'logs', facts(names, '12')), 'no longer Parquet');
    const page = await store.readers.logs!.search(
      { range: day, filter: { kind: 'all' }, order: 'asc', limit: 9, cursor: undefined },
      never,
    );
    expect(page).toMatchObject({ items: [{ body: '2' }], incomplete: true, warnings: ['a damaged file was left out'] });
    expect(await bodies(store)).toEqual(['2']);
    expect(store.stats().logs).toMatchObject({ damaged: 1, files: 1 });
  });

  it('a damaged manifest is read from its copy; without one the previous counts', async () => {
    await using folder = await folderOfOwn();
    const names = await twoFiles(folder.path);
    expect(names.filter((name) => name.startsWith('manifest'))).toEqual([
      'manifest-1.copy.json',
      'manifest-1.json',
      'manifest-2.copy.json',
      'manifest-2.json',
    ]);
    await truncate(join(folder.path, 'logs', 'manifest-2.json'), 50);
    {
      await using store = await openStore(folder.path);
      expect(await bodies(store)).toEqual(['1', '2']);
      expect(store.stats().logs!.damaged).toBe(1);
    }
    await flip(join(folder.path, 'logs', 'manifest-2.copy.json'), 30);
    await using store = await openStore(folder.path);
    expect(await bodies(store)).toEqual(['1']);
    expect(store.keeper.keptThrough('logs', logId)).toBe(1);
    // What the lost manifest named is not deleted: a person can look at it.
    const aside = await readdir(join(folder.path, 'logs', 'quarantine'));
    expect(aside).toContain(facts(names, '13'));
    await write(store, 'logs', [logFrame(2)]);
    await store.rollAll();
    expect(await bodies(store)).toEqual(['1', '2']);
  });

  it('stray files are removed', async () => {
    await using folder = await folderOfOwn();
    await twoFiles(folder.path);
    for (const name of ['2026-11-23T12-0123456789ab.parquet', 'manifest-9.json.tmp', 'x'])
      await writeFile(join(folder.path, 'logs', name), 'x');
    await using store = await openStore(folder.path);
    expect(await bodies(store)).toEqual(['1', '2']);
    const names = await readdir(join(folder.path, 'logs'));
    expect(names.filter((name) => name.includes('0123456789ab') || name.endsWith('.tmp') || name === 'x')).toEqual([]);
    expect(store.stats().logs!.damaged).toBe(0);
  });

  it('a filter that is gone costs time, not traces', async () => {
    await using folder = await folderOfOwn();
    const traceId = 'ab'.repeat(16);
    {
      await using store = await openStore(folder.path);
      await write(store, 'traces', [
        frame(1, request(resource, [spanBytes({ traceId, spanId: 'cd'.repeat(8), start: noon })])),
      ]);
      await store.rollAll();
    }
    for (const name of await readdir(join(folder.path, 'traces')))
      if (name.endsWith('.bloom')) await rm(join(folder.path, 'traces', name));
    await using store = await openStore(folder.path);
    expect(await store.readers.traces!.trace(traceId, never)).toBeDefined();
  });
});

it('a query that has begun reads its files to the end, though they are merged and deleted meanwhile', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  for (let seq = 1; seq <= 8; seq++) {
    await write(store, 'logs', [logFrame(seq)]);
    if (seq < 8) await store.rollAll();
  }
  const readings = Array.from({ length: 6 }, () => allLogs(store, 3));
  await store.rollAll();
  await store.mergeAll();
  for (const rows of await Promise.all(readings)) expect(rows.map(({ body }) => body)).toEqual(expected(8));
  expect(store.stats().logs!.files).toBeLessThan(3);
});
