import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { lockFolder } from '../../src/wal/index.ts';
import { temporaryFolder } from '../kit/process.ts';

const wal = fileURLToPath(new URL('../../src/wal/index.ts', import.meta.url));
const holder = `import(${JSON.stringify(wal)}).then(async (wal) => {
  await wal.lockFolder(process.argv[1]);
  console.log(process.pid);
  setInterval(() => {}, 1000);
});`;

it.runIf(process.platform === 'linux')(
  'a killed process that nobody has waited for does not hold the data folder',
  async () => {
    await using folder = await temporaryFolder();
    const dir = join(folder.path, 'data');
    // The shell starts the holder and becomes a program that never waits for it, as PID 1 of many containers.
    const script = '"$1" -e "$2" "$3" & exec sleep 60';
    const parent = spawn('sh', ['-c', script, 'sh', process.execPath, holder, dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const [pid] = await once(parent.stdout, 'data');
      await expect(lockFolder(dir)).rejects.toThrow(`pid ${Number(String(pid))}`);
      process.kill(Number(String(pid)), 'SIGKILL');
      await expect.poll(() => lockFolder(dir).then(() => 'taken')).toBe('taken');
    } finally {
      parent.kill('SIGKILL');
    }
  },
);
