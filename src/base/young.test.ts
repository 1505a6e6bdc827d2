import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runProgram } from '../../test/kit/program.ts';

it('the young generation does not grow while all is loaded, and under load to its bound and no further', async () => {
  const fixture = fileURLToPath(new URL('./young.fixture.ts', import.meta.url));
  const { stdout } = await runProgram(process.execPath, [fixture]);
  const [held, loaded, underLoad] = JSON.parse(stdout) as number[];
  expect(held).toBeLessThanOrEqual(4);
  expect(loaded).toBe(held);
  expect(underLoad).toBe(8);
});
