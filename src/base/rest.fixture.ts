import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { collectAtRest } from './rest.ts';
import { collectYoung } from './young.ts';

// A heap as a server has it (`main.ts`). Prints its resident memory in MiB: at first, after work, while it is still busy, at rest.

setFlagsFromString('--heap-growing-percent=300');
const kept: object[] = Array.from({ length: 200_000 }, (_, i) => ({ i, text: String(i) }));
const residentMiB = () => Math.round(process.memoryUsage.rss() / 1024 / 1024);
/** What it makes outlives two collections of the young generation, so that V8 takes it for something that stays. */
function work() {
  for (let round = 0; round < 40; round++) {
    const made = Array.from({ length: 20_000 }, (_, i) => ({ i, bytes: Buffer.alloc(16) }));
    collectYoung();
    collectYoung();
    if (made.length === 0) kept.push(made);
  }
}
/** For a second, but for moments between. */
async function busy() {
  for (const untilMs = performance.now() + 1_000; performance.now() < untilMs; await sleep(1)) {
    for (const pauseMs = performance.now() + 20; performance.now() < pauseMs; );
  }
}
using _rest = collectAtRest({ checkMs: 100, restMs: 300 });
await sleep(1_000);
const sizes = [residentMiB()];
work();
sizes.push(residentMiB());
await busy();
sizes.push(residentMiB());
await sleep(2_000);
sizes.push(residentMiB());
console.log(JSON.stringify([...sizes, kept.length]));
