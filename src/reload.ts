import { stat } from 'node:fs/promises';

/** Kubernetes takes up to a minute to bring a changed secret into a pod; twice this adds little to it. */
const lookEveryMs = 3_000;

/**
 * Calls back after one of the files has changed, been replaced or gone. By looking at them: what is mounted changes by a
 * link's turning elsewhere, which a watch on the file does not see, and some file systems tell of no change at all. A change
 * counts when it is seen a second time: half a file may be a good configuration, too.
 * @param files Asked each time: which there are may change with them.
 */
export function watchFiles(files: () => readonly string[], changed: () => void, everyMs = lookEveryMs): Disposable {
  let known: string | undefined;
  let lately: string | undefined;
  let looking = false;
  const look = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    try {
      const seen = (await Promise.all(files().map(identity))).join('\n');
      known ??= seen;
      const isSettled = seen === lately;
      lately = seen;
      if (seen === known || !isSettled) return;
      known = seen;
      changed();
    } finally {
      looking = false;
    }
  };
  void look();
  const timer = setInterval(() => void look(), everyMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

async function identity(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(file);
    return `${file} ${ino} ${size} ${mtimeMs}`;
  } catch {
    return `${file} is not there`;
  }
}
