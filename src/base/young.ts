import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// V8's young generation: 1 MiB at first, 32 before the first record has come, if it may. What a server then has it does not give
// back: 18 MiB of resident memory at rest. So it does not grow while a server's modules are loaded, and then it is kept at
// `youngBytes`, where records cost no more CPU than with four times as much. With a quarter of it they do.

const youngBytes = 8 * 1024 * 1024;
/**
 * Of a thread: V8 counts three of its kind. Without a bound it grows to 64 MiB, and when the thread's heap is full, what of that
 * lives is more than the 16 MiB that Node adds for the end of a thread: the process ends instead.
 */
export const threadYoungMegabytesMax = (3 * youngBytes) / 1024 / 1024;
const checkMs = 250;
const growth = (factor: number) => setFlagsFromString(`--semi-space-growth-factor=${factor}`);

/**
 * What a server loads of Node. Node has its own modules compiled with it, but V8 takes those only while its flags are as they
 * were then: 60 ms of CPU are saved by loading them before the first flag is set.
 */
const modulesOfNode = [
  'assert',
  'child_process',
  'cluster',
  'crypto',
  'fs/promises',
  'http2',
  'https',
  'perf_hooks',
  'timers/promises',
  'vm',
  'worker_threads',
  'zlib',
];

/** Keeps it as it is, some 4 MiB. To be called before a server's own modules are loaded. */
export function holdYoung(): void {
  for (const name of modulesOfNode) process.getBuiltinModule(name);
  growth(1);
}

/** From what it was held at to `youngBytes`, in one step and when there is work; V8 makes it small again at rest. */
export function boundYoung(): Disposable {
  const check = () => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    if (young !== undefined) growth(Math.max(1, Math.floor(youngBytes / young.space_size)));
  };
  check();
  const timer = setInterval(check, checkMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/**
 * Frees the buffers of bodies that are done with, by a collection of the young generation: about a millisecond.
 *
 * Bodies lie outside the heap and die young, but V8 frees them only with a collection of the heap, which hardly grows meanwhile.
 * Left alone it sees 64 MiB of buffers first and marks the whole heap instead, ten times a second under load.
 * Measured as CPU a gRPC call: 40 kB 263 → 150 µs, 400 kB 1,000 → 400 µs.
 */
export function collectYoung(): void {
  collect({ type: 'minor' });
}

/** All of the heap, and what is free in it back to the system: see `rest.ts`. */
export function collectAll(): void {
  collect({ type: 'major', flavor: 'last-resort' });
}

type Collect = (options: { type: 'minor' } | { type: 'major'; flavor: 'last-resort' }) => void;
let collector: Collect | undefined;

const collect: Collect = (options) => {
  collector ??= exposed();
  collector(options);
};

function exposed(): Collect {
  // Not on the command line: whoever starts the process, as a test or in a container, need not know of it.
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  return typeof gc === 'function' ? (gc as Collect) : () => {};
}
