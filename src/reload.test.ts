import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { watchFiles } from './reload.ts';

it('sees a file change, be replaced, be linked elsewhere and go', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'watchingcat-reload-'));
  const [plain, target, link] = ['plain', 'target', 'link'].map((name) => join(folder, name));
  await writeFile(plain!, 'a');
  await writeFile(target!, 'first');
  await symlink(target!, link!);
  let changes = 0;
  const watching = watchFiles(
    () => [plain!, link!],
    () => changes++,
    10,
  );
  try {
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(changes).toBe(0);
    for (const change of [
      () => writeFile(plain!, 'ab'),
      async () => {
        await writeFile(join(folder, 'new'), 'cd');
        await rename(join(folder, 'new'), plain!);
      },
      async () => {
        // As Kubernetes turns ..data.
        await writeFile(join(folder, 'second'), 'second');
        await symlink(join(folder, 'second'), join(folder, 'link2'));
        await rename(join(folder, 'link2'), link!);
      },
      () => rm(plain!),
    ]) {
      const before = changes;
      await change();
      await vi.waitFor(() => expect(changes).toBeGreaterThan(before), 10_000);
    }
  } finally {
    watching[Symbol.dispose]();
    await rm(folder, { recursive: true });
  }
});
