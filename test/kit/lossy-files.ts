import type { DiskUse, File, FileSystem, OpenMode } from '../../src/wal/index.ts';

// A file system in memory that keeps a journal of every operation, so that a test can lose power after any of them:
// what was not synced by then is lost, kept, cut short, reordered or torn. It is harsher than the real ones: names are
// durable only after their folder was synced, and unsynced operations are kept in any combination. Folders themselves
// are durable at once.

/** What becomes of the operations that were not synced when the power went. */
export const losses = ['lost', 'kept', 'prefix', 'reordered', 'torn512', 'torn4096', 'zeroTail'] as const;
export type Loss = (typeof losses)[number];

type Operation =
  | { readonly kind: 'create' | 'unlink'; readonly path: string; readonly inode: number }
  | { readonly kind: 'rename'; readonly from: string; readonly path: string; readonly inode: number }
  | { readonly kind: 'syncDir'; readonly path: string }
  | { readonly kind: 'write'; readonly inode: number; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly inode: number; readonly sizeBytes: number }
  | { readonly kind: 'sync'; readonly inode: number }
  /** A write to a file that was opened durable has reached the disk. */
  | { readonly kind: 'syncWrite'; readonly write: number };

/** An operation that is about to be done. */
export interface Attempt {
  readonly kind: 'open' | 'create' | 'rename' | 'unlink' | 'syncDir' | 'write' | 'truncate' | 'sync' | 'read';
  readonly path: string;
  readonly bytes: number;
}

interface Inode {
  content: Buffer;
}

export class LossyFiles implements FileSystem {
  /** Everything that was done, in order. Power can be lost after each. */
  readonly journal: Operation[] = [];
  /** Throws to make an operation fail, resolves later to make it slow. Called before anything is done. */
  onAttempt: ((attempt: Attempt) => void | Promise<void>) | undefined;
  /** Growing past it fails with ENOSPC, after what still fits was written. */
  capacityBytes = Number.POSITIVE_INFINITY;
  readonly #start: ReadonlyMap<string, Buffer>;
  readonly #inodes = new Map<number, Inode>();
  readonly #names = new Map<string, number>();
  readonly #folders = new Set<string>(['/']);
  #nextInode = 1;

  /** @param start Files that are there, and durable. */
  constructor(start: ReadonlyMap<string, Buffer> = new Map()) {
    this.#start = start;
    for (const [path, content] of start) {
      this.#names.set(path, this.#nextInode);
      this.#inodes.set(this.#nextInode++, { content: Buffer.from(content) });
      this.#folders.add(parent(path));
    }
  }

  /** What the disk holds if the power goes after so many operations of the journal. */
  afterPowerLoss(operations: number, loss: Loss, random: () => number): LossyFiles {
    return new LossyFiles(diskAfter(this.#start, this.journal.slice(0, operations), loss, random));
  }

  /** Whether the kinds of loss differ at this place: something was not synced. */
  hasUnsynced(operations: number): boolean {
    return unsyncedOf(this.journal.slice(0, operations)).length > 0;
  }

  /** What a reader of the live system sees. */
  contents(): Map<string, Buffer> {
    return new Map([...this.#names].map(([path, inode]) => [path, Buffer.from(this.#inodes.get(inode)!.content)]));
  }

  /** Changes bytes behind everybody's back, as a bad disk does. */
  damage(path: string, change: (content: Buffer) => Buffer): void {
    const inode = this.#inodes.get(this.#inodeOf(path))!;
    inode.content = change(Buffer.from(inode.content));
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    await this.#attempt('open', path);
    const durable = mode === 'createDurable' || mode === 'writeDurable';
    if (mode === 'create' || mode === 'createDurable') {
      if (!this.#folders.has(parent(path))) throw failure('ENOENT', path);
      await this.#attempt('create', path);
      const there = this.#names.get(path);
      if (there === undefined) {
        const inode = this.#nextInode++;
        this.#inodes.set(inode, { content: Buffer.alloc(0) });
        this.#names.set(path, inode);
        this.journal.push({ kind: 'create', path, inode });
        return new LossyFile(this, path, inode, durable);
      }
      this.truncateInode(there, 0);
      return new LossyFile(this, path, there, durable);
    }
    return new LossyFile(this, path, this.#inodeOf(path), durable);
  }

  async readdir(path: string): Promise<readonly string[]> {
    if (!this.#folders.has(path)) throw failure('ENOENT', path);
    const names = [...this.#names.keys()].filter((name) => parent(name) === path);
    const folders = [...this.#folders].filter((folder) => folder !== path && parent(folder) === path);
    return [...names, ...folders].map((name) => name.slice(name.lastIndexOf('/') + 1));
  }

  async mkdir(path: string): Promise<void> {
    for (let folder = path; folder !== ''; folder = parent(folder)) this.#folders.add(folder);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#attempt('rename', to);
    const inode = this.#inodeOf(from);
    this.#names.delete(from);
    this.#names.set(to, inode);
    this.journal.push({ kind: 'rename', from, path: to, inode });
  }

  async unlink(path: string): Promise<void> {
    await this.#attempt('unlink', path);
    const inode = this.#inodeOf(path);
    this.#names.delete(path);
    this.journal.push({ kind: 'unlink', path, inode });
  }

  async fsyncDir(path: string): Promise<void> {
    await this.#attempt('syncDir', path);
    this.journal.push({ kind: 'syncDir', path });
  }

  async stat(path: string): Promise<{ sizeBytes: number; modifiedMs: number }> {
    return { sizeBytes: this.#inodes.get(this.#inodeOf(path))!.content.byteLength, modifiedMs: Date.now() };
  }

  async statfs(): Promise<DiskUse> {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return { usedBytes: 0, availableBytes: 2 ** 40 };
    const usedBytes = this.usedBytes();
    return { usedBytes, availableBytes: Math.max(0, this.capacityBytes - usedBytes) };
  }

  usedBytes(): number {
    let bytes = 0;
    for (const inode of new Set(this.#names.values())) bytes += this.#inodes.get(inode)!.content.byteLength;
    return bytes;
  }

  // -------------------------------------------------------------- for open files

  /** By the file's present name. */
  async attemptOn(kind: 'read' | 'write' | 'truncate' | 'sync', inode: number, bytes: number): Promise<void> {
    const name = [...this.#names].find(([, named]) => named === inode);
    await this.#attempt(kind, name?.[0] ?? '', bytes);
  }

  /** @returns place in the journal. */
  writeInode(inode: number, bytes: Buffer, position: number): number {
    const { content } = this.#inodes.get(inode)!;
    const room = this.capacityBytes - this.usedBytes() + content.byteLength - position;
    const fitting =
      bytes.byteLength <= Math.max(room, content.byteLength - position) ? bytes : bytes.subarray(0, Math.max(0, room));
    if (fitting.byteLength > 0) {
      this.#inodes.get(inode)!.content = written(content, fitting, position);
      this.journal.push({ kind: 'write', inode, position, bytes: Buffer.from(fitting) });
    }
    if (fitting.byteLength < bytes.byteLength) throw failure('ENOSPC', String(inode));
    return this.journal.length - 1;
  }

  truncateInode(inode: number, sizeBytes: number): void {
    const { content } = this.#inodes.get(inode)!;
    this.#inodes.get(inode)!.content = resized(content, sizeBytes);
    this.journal.push({ kind: 'truncate', inode, sizeBytes });
  }

  content(inode: number): Buffer {
    return this.#inodes.get(inode)!.content;
  }

  #inodeOf(path: string): number {
    const inode = this.#names.get(path);
    if (inode === undefined) throw failure('ENOENT', path);
    return inode;
  }

  async #attempt(kind: Attempt['kind'], path: string, bytes = 0): Promise<void> {
    await this.onAttempt?.({ kind, path, bytes });
  }
}

class LossyFile implements File {
  readonly #files: LossyFiles;
  readonly #path: string;
  readonly #inode: number;
  readonly #durable: boolean;
  #closed = false;
  /** After a failed sync the system says that all is well, whatever it lost: nobody may ask again. */
  #syncFailed = false;

  constructor(files: LossyFiles, path: string, inode: number, durable: boolean) {
    this.#files = files;
    this.#path = path;
    this.#inode = inode;
    this.#durable = durable;
  }

  async writev(pieces: readonly Uint8Array[], position: number): Promise<void> {
    this.#check();
    const bytes = Buffer.concat(pieces);
    await this.#files.attemptOn('write', this.#inode, bytes.byteLength);
    const write = this.#files.writeInode(this.#inode, bytes, position);
    if (!this.#durable) return;
    await this.#synced();
    this.#files.journal.push({ kind: 'syncWrite', write });
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    this.#check();
    await this.#files.attemptOn('read', this.#inode, into.byteLength);
    const part = this.#files.content(this.#inode).subarray(position, position + into.byteLength);
    into.set(part);
    return part.byteLength;
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#check();
    await this.#files.attemptOn('truncate', this.#inode, 0);
    this.#files.truncateInode(this.#inode, sizeBytes);
  }

  async sync(): Promise<void> {
    this.#check();
    await this.#synced();
    this.#files.journal.push({ kind: 'sync', inode: this.#inode });
  }

  async sizeBytes(): Promise<number> {
    this.#check();
    return this.#files.content(this.#inode).byteLength;
  }

  async close(): Promise<void> {
    this.#check();
    this.#closed = true;
  }

  async #synced(): Promise<void> {
    if (this.#syncFailed) throw new Error(`${this.#path} was synced again after its sync had failed`);
    try {
      await this.#files.attemptOn('sync', this.#inode, 0);
    } catch (error) {
      this.#syncFailed = true;
      throw error;
    }
  }

  #check(): void {
    if (this.#closed) throw new Error(`${this.#path} is used after it was closed`);
  }
}

/** As Node's file functions fail. */
export function failure(code: 'ENOENT' | 'ENOSPC' | 'EIO', path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/** The same numbers for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Places in the journal of what no sync covers. */
function unsyncedOf(journal: readonly Operation[]): number[] {
  let unsynced: number[] = [];
  for (const [at, operation] of journal.entries()) {
    if (operation.kind === 'sync') {
      unsynced = unsynced.filter((earlier) => !isOf(journal[earlier]!, operation.inode));
    } else if (operation.kind === 'syncWrite') {
      unsynced = unsynced.filter((earlier) => earlier !== operation.write);
    } else if (operation.kind === 'syncDir') {
      unsynced = unsynced.filter((earlier) => !isIn(journal[earlier]!, operation.path));
    } else {
      unsynced.push(at);
    }
  }
  return unsynced;
}

function isOf(operation: Operation, inode: number): boolean {
  return (operation.kind === 'write' || operation.kind === 'truncate') && operation.inode === inode;
}

function isIn(operation: Operation, folder: string): boolean {
  const { kind } = operation;
  return (kind === 'create' || kind === 'unlink' || kind === 'rename') && parent(operation.path) === folder;
}

function diskAfter(
  start: ReadonlyMap<string, Buffer>,
  journal: readonly Operation[],
  loss: Loss,
  random: () => number,
): Map<string, Buffer> {
  const unsynced = unsyncedOf(journal);
  const lost = new Set(
    loss === 'lost'
      ? unsynced
      : loss === 'prefix'
        ? unsynced.slice(Math.floor(unsynced.length / 2))
        : loss === 'reordered'
          ? unsynced.filter(() => random() < 0.5)
          : [],
  );
  const lastWrite = unsynced.findLast((at) => journal[at]?.kind === 'write');
  const names = new Map<string, number>();
  const contents = new Map<number, Buffer>();
  let inode = 1;
  for (const [path, content] of start) {
    names.set(path, inode);
    contents.set(inode++, Buffer.from(content));
  }
  for (const [at, operation] of journal.entries()) {
    if (lost.has(at)) continue;
    switch (operation.kind) {
      case 'create':
        names.set(operation.path, operation.inode);
        break;
      case 'rename':
        names.delete(operation.from);
        names.set(operation.path, operation.inode);
        break;
      case 'unlink':
        if (names.get(operation.path) === operation.inode) names.delete(operation.path);
        break;
      case 'truncate':
        contents.set(operation.inode, resized(contents.get(operation.inode) ?? Buffer.alloc(0), operation.sizeBytes));
        break;
      case 'write': {
        const before = contents.get(operation.inode) ?? Buffer.alloc(0);
        const { position } = operation;
        const bytes = at === lastWrite ? torn(operation.bytes, position, before, loss, random) : operation.bytes;
        contents.set(operation.inode, written(before, bytes, position));
        break;
      }
    }
  }
  return new Map([...names].map(([path, at]) => [path, contents.get(at) ?? Buffer.alloc(0)]));
}

/** A write of which some sectors reached the disk, or of which the size did and not all of the bytes. */
function torn(bytes: Buffer, position: number, before: Buffer, loss: Loss, random: () => number): Buffer {
  const result = Buffer.from(bytes);
  if (loss === 'zeroTail') result.fill(0, Math.floor(random() * bytes.byteLength));
  const sector = loss === 'torn512' ? 512 : loss === 'torn4096' ? 4096 : 0;
  if (sector === 0) return result;
  for (let from = position - (position % sector); from < position + bytes.byteLength; from += sector) {
    if (random() < 0.5) continue;
    const old = resized(before, Math.max(before.byteLength, from + sector)).subarray(from, from + sector);
    const start = Math.max(from, position);
    const end = Math.min(from + sector, position + bytes.byteLength);
    old.copy(result, start - position, start - from, end - from);
  }
  return result;
}

function written(content: Buffer, bytes: Buffer, position: number): Buffer {
  const end = position + bytes.byteLength;
  const result = end > content.byteLength ? resized(content, end) : content;
  bytes.copy(result, position);
  return result;
}

function resized(content: Buffer, sizeBytes: number): Buffer {
  if (sizeBytes <= content.byteLength) return Buffer.from(content.subarray(0, sizeBytes));
  const result = Buffer.alloc(sizeBytes);
  content.copy(result);
  return result;
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || (path === '/' ? '' : '/');
}
