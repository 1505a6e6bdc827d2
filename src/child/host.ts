import { readdir } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../base/index.ts';
import { lockFolder } from '../wal/index.ts';
import { awaitingBacklog } from './catch-up.ts';
import { eraseThrough } from './erase.ts';
import { type HostPlace, StoreHost } from './hosting.ts';
import { takeOverMs } from './limits.ts';
import { eraseMethod, type ToChild, type ToParent } from './protocol.ts';
import { type Method, methodsOf } from './rpc.ts';

// Entry point of the child process, which holds the embedded store.

const place: HostPlace = {
  send(message) {
    if (!process.connected) throw new Fault('unavailable', 'the parent process is gone');
    process.send?.(message);
  },
  prepare: (store) => lockStore(folderOf(store)),
  /** At rest DuckDB takes as much memory as all else in this process: a new store waits for something to keep. */
  async isAtRest(store) {
    return (await readdir(folderOf(store), { withFileTypes: true })).every((entry) => !entry.isDirectory());
  },
  async open(hosted, { log, deliveryStats, startedThrough }) {
    if (hosted.kind !== 'embedded') throw new Error('this process is for the embedded store');
    const { openEmbeddedStore } = await import('../stores/embedded/index.ts');
    const store = await openEmbeddedStore({ ...hosted.options, warn: (message) => log('warn', {}, message) });
    return {
      destination: store,
      readers: awaitingBacklog(store.readers, deliveryStats, startedThrough),
      methods: [
        ...methodsOf('store', store, ['rollAll']),
        [eraseMethod, eraseThrough(store, deliveryStats) as Method] as const,
      ],
      stats: () => store.stats(),
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    };
  },
  // What was sent is on its way before the process ends.
  end: () => void process.send?.({ kind: 'stopped' } satisfies ToParent, undefined, {}, () => process.exit(0)),
};
const host = new StoreHost(place);

// Receiving goes first. Before any thread of DuckDB's is there, since on Linux each has a priority of its own.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
process.on('message', (message: ToChild) => void host.receive(message));
// Without a parent nobody knows what is durable, and the next parent needs the folder: the log has everything.
process.on('disconnect', die);
// The parent is often gone before we are told so: then it is `send` that throws, in a timer.
process.on('uncaughtException', (thrown) => {
  if (process.connected) process.stderr.write(`${thrown.stack ?? thrown.message}\n`, die);
  else die();
});
// Ctrl-C reaches the whole process group. The parent hears it, too, and says when to stop.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

/**
 * Not `exit`, and not what follows an exception that nobody catches: both wait for DuckDB's threads, and those may wait for
 * this one to hand them rows. The folder would stay locked for ever.
 */
function die(): void {
  process.kill(process.pid, 'SIGKILL');
}

function folderOf(store: Parameters<HostPlace['open']>[0]): string {
  if (store.kind !== 'embedded') throw new Error('this process is for the embedded store');
  return store.options.folder;
}

/**
 * Takes the store's folder. The child of a parent that was killed may still have it: that one goes by itself, soon.
 * @throws Fault `unavailable` where it does not.
 */
async function lockStore(folder: string): Promise<AsyncDisposable> {
  const end = performance.now() + takeOverMs;
  for (;;) {
    try {
      return await lockFolder(folder);
    } catch (thrown) {
      // With a cause it is not another process that has it: the folder cannot be written.
      const held = thrown instanceof Fault && thrown.code === 'unavailable' && thrown.cause === undefined;
      if (!held || performance.now() > end) throw thrown;
      await sleep(50);
    }
  }
}
