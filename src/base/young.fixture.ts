import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { boundYoung, collectYoung } from './young.ts';

// As `bin/watchingcat.js` does it. Prints the size of the young generation in MiB: at the start, when all was loaded, and under load.

setFlagsFromString('--semi-space-growth-factor=1');
const sizeMiB = () =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')!.space_size / 1024 / 1024;
const kept: object[] = [];
async function work() {
  for (let turn = 0; turn < 30; turn++) {
    for (let i = 0; i < 10_000; i++) kept.push({ i });
    await sleep(60);
    collectYoung();
  }
}
const sizes = [sizeMiB()];
await work();
sizes.push(sizeMiB());
using _bound = boundYoung();
await work();
sizes.push(sizeMiB());
console.log(JSON.stringify(sizes));
