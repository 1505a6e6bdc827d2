import { fork } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { entryPath, threadYoungMegabytesMax } from '../base/index.ts';
import { heapInitialMiB, stderrCharsMax } from './limits.ts';
import type { ToChild, ToParent } from './protocol.ts';

/** What a host runs in: a process or a thread. */
export interface Carrier {
  /** Of a process. */
  readonly pid: number | undefined;
  /** Does nothing once the other side is about to end: `onEnd` says what there is to say. */
  send(message: ToChild): void;
  kill(): void;
}

/** How a carrier ended. `said`: what it wrote last, for the line in the log. */
export interface End {
  readonly how: string;
  readonly said: string | undefined;
}

export type Launch = (listen: {
  readonly message: (carrier: Carrier, message: ToParent) => void;
  readonly end: (carrier: Carrier, end: End) => void;
}) => Carrier;

/** A process for the embedded store: four queries of DuckDB's in this one were seen to hold back the log for 1.4 s. */
export function launchProcess(heapMiB: number): Launch {
  return ({ message, end }) => {
    const child = fork(entryPath(import.meta.url, './host.ts'), {
      serialization: 'advanced',
      execArgv: [
        `--max-old-space-size=${heapMiB}`,
        `--initial-heap-size=${heapInitialMiB}`,
        '--max-semi-space-size=16',
      ],
      // No secret of the parent's is there to be found in the child.
      env: {
        ...pick(process.env, ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'NODE_COMPILE_CACHE']),
        // glibc keeps what was freed in an arena for each few threads, 8 for each core: two hold less back.
        MALLOC_ARENA_MAX: '2',
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-stderrCharsMax);
    });
    const carrier: Carrier = {
      get pid() {
        return child.pid;
      },
      send: (given) => void (child.connected && child.send(given)),
      kill: () => void child.kill('SIGKILL'),
    };
    child.on('message', (received: ToParent) => message(carrier, received));
    // Sending fails on a child that is about to exit; `exit` says what there is to say.
    child.on('error', () => {});
    child.on('exit', (code, signal) =>
      end(carrier, { how: signal ?? `exit code ${code}`, said: said.trim() || undefined }),
    );
    return carrier;
  };
}

/** A thread. Past its heap it ends, not the process. */
export function launchThread(name: string, heapMiB: number): Launch {
  return ({ message, end }) => {
    const worker = new Worker(entryPath(import.meta.url, './thread.ts'), {
      name,
      resourceLimits: { maxOldGenerationSizeMb: heapMiB, maxYoungGenerationSizeMb: threadYoungMegabytesMax },
      // Its settings come by message. Modules that were stripped and compiled before: a third of the CPU of its start.
      env: pick(process.env, ['NODE_COMPILE_CACHE']),
    });
    let thrown: Error | undefined;
    const carrier: Carrier = {
      pid: undefined,
      send: (given) => worker.postMessage(given),
      kill: () => void worker.terminate(),
    };
    worker.on('message', (received: ToParent) => message(carrier, received));
    worker.on('error', (error) => {
      thrown = error instanceof Error ? error : new Error(String(error));
    });
    worker.on('exit', (code) =>
      end(carrier, { how: thrown?.message ?? `exit code ${code}`, said: thrown?.stack?.slice(0, stderrCharsMax) }),
    );
    return carrier;
  };
}

function pick(env: NodeJS.ProcessEnv, names: readonly string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
