import { setFlagsFromString } from 'node:v8';
import { entryPath } from './entry.ts';
import type { Fault } from './fault.ts';
import type { Errand } from './thread-pool.fixture.ts';
import { ThreadPool } from './thread-pool.ts';

// A server when the first load comes: V8's young generation may grow. Prints what tasks are answered that eat their thread's memory.

setFlagsFromString('--semi-space-growth-factor=4');
const entry = entryPath(import.meta.url, './thread-pool.fixture.ts');
const pool = new ThreadPool<Errand, never>({ name: 'test', entry, heapMegabytesMax: 64, threadsMax: 1 });
for (let death = 0; death < 3; death++) {
  console.log(await pool.run({ do: 'eat memory' }).catch((thrown: Fault) => thrown.code));
}
