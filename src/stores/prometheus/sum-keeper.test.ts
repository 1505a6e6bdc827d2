import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../base/index.ts';
import { Point } from './point.ts';
import { TotalsFile } from './state.ts';
import { SumKeeper } from './sum-keeper.ts';

const limits = { seriesMax: 100, forgetMs: 3_600_000 };
const logId = 'a'.repeat(32);

// A letter a step: c counted, r counted with refusals, s their dead letters are on disk, x begun and never settled. Each batch
// adds 1 to the sum, and is the frame of its number.
it.each([
  { name: 'all is counted', steps: 'c c c', kept: 3, sum: 3 },
  { name: 'the last batch had refusals, and they are on disk', steps: 'c r s', kept: 2, sum: 2 },
  { name: 'their dead letters could not be written', steps: 'c r', kept: 1, sum: 1 },
  { name: 'what came after them says so, too', steps: 'r s c', kept: 2, sum: 2 },
  { name: 'the last batch was begun, and is taken back', steps: 'c r s x', kept: 2, sum: 2 },
  { name: 'frames that are owed to others came last', steps: 'c p', kept: 2, sum: 1 },
])('a stop keeps sums and place of the same moment: $name', async ({ steps, kept, sum }) => {
  const folder = await mkdtemp(join(tmpdir(), 'watchingcat-sums-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const keeper = new SumKeeper(new TotalsFile(folder, limits), systemClock);
  const told: number[] = [];
  keeper.onKept((_, __, seq) => told.push(seq));
  let seq = 0;
  let open = false;
  for (const step of steps.split(' ')) {
    if (step === 's') {
      keeper.settled('metrics', logId, seq);
      continue;
    }
    seq++;
    if (step === 'p') {
      keeper.settled('metrics', logId, seq);
      continue;
    }
    await keeper.begin(open);
    const point = new Point();
    point.value = 1;
    point.timeMs = seq;
    keeper.totals.add('series', 'number', point, seq);
    open = step === 'x';
    if (!open) keeper.counted(logId, seq, step === 'r');
  }
  await keeper.close(open);
  expect(told.at(-1) ?? 0).toBe(kept);
  const again = new TotalsFile(folder, limits);
  expect([again.seq, again.totals.get('series')?.sum ?? 0]).toEqual([kept, sum]);
});
