import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eventually, startProcess, temporaryFolder } from '../kit/process.ts';

it('SIGHUP, or a changed file, takes over the level of the log, and a bad file changes nothing', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'watchingcat.yaml');
  const write = (level: string) => writeFile(file, `log:\n  level: ${level}\n`);
  await write('info');
  const running = await startProcess({ dataDir: join(folder.path, 'data'), flags: ['--config', file] });
  const says = (text: string) =>
    eventually(
      async () => running.output(),
      (output) => output.includes(text),
    );
  try {
    await write('loud');
    process.kill(running.pid, 'SIGHUP');
    await says('watchingcat.yaml:2');
    await write('debug');
    process.kill(running.pid, 'SIGHUP');
    await says('"logLevel":"debug"');
    // Without being told.
    await write('trace');
    await says('"logLevel":"trace"');
    expect((await fetch(`${running.http}/health/ready`)).status).toBe(200);
  } finally {
    expect(await running.stop('SIGTERM')).toMatchObject({ code: 0 });
  }
});
