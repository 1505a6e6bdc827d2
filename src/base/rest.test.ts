import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runProgram } from '../../test/kit/program.ts';

it('what work left in the heap is given back at rest, and not before', async () => {
  const fixture = fileURLToPath(new URL('./rest.fixture.ts', import.meta.url));
  const { stdout } = await runProgram(process.execPath, [fixture]);
  const [atFirst, afterWork, busy, atRest] = JSON.parse(stdout) as [number, number, number, number];
  expect(afterWork).toBeGreaterThan(atFirst + 100);
  expect(busy).toBeGreaterThan(atFirst + 100);
  expect(atRest).toBeLessThan(atFirst + 15);
});
