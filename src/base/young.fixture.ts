import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapSpaceStatistics } from 'node:v8';
import { boundYoung, collectYoung, holdYoung } from './young.ts';

// As `start` does it. Prints the size of the young generation in MiB: held at the start, when all was loaded, and under load.

holdYoung();
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
