import v8 from 'node:v8';
import vm from 'node:vm';
import { systemClock } from '../../base/index.ts';
import { noCredentials } from './access.ts';
import { watchCluster } from './watch-cluster.ts';

// A process that does nothing but follow the cluster at argv[2], and tells its parent what that takes.

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

async function used(): Promise<{ retainedBytes: number; rssBytes: number }> {
  collect();
  // What buffers had is given back a moment later.
  await new Promise((resolve) => setTimeout(resolve, 300));
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { retainedBytes: heapUsed + external, rssBytes: rss };
}

const before = await used();
let loopHeldMsMax = 0;
let lastMs = performance.now();
const beat = setInterval(() => {
  loopHeldMsMax = Math.max(loopHeldMsMax, performance.now() - lastMs - 1);
  lastMs = performance.now();
}, 1);
let rssBytesMax = 0;
const beginMs = performance.now();
const view = watchCluster({
  access: {
    server: new URL(process.argv[2] ?? ''),
    credentials: async () => noCredentials,
  },
  labels: [],
  annotations: [],
  keepDeletedSeconds: 120,
  clock: systemClock,
});
while (view.state().status !== 'synced') {
  rssBytesMax = Math.max(rssBytesMax, process.memoryUsage.rss());
  await new Promise((resolve) => setTimeout(resolve, 5));
}
clearInterval(beat);
const tookMs = performance.now() - beginMs;
const cpuMs = process.cpuUsage();
const after = await used();
process.send?.({
  pods: view.state().pods,
  known: view.podByIp('10.1.0.7')?.owners.map(({ kind, name }) => `${kind} ${name}`),
  retainedBytes: after.retainedBytes - before.retainedBytes,
  rssBytes: rssBytesMax - before.rssBytes,
  tookMs,
  cpuMs: (cpuMs.user + cpuMs.system) / 1000,
  loopHeldMsMax,
});
await view[Symbol.asyncDispose]();
