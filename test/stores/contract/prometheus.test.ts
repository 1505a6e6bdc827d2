import type { Store } from '../../../src/stores/contract.ts';
import { openPrometheusStore } from '../../../src/stores/prometheus/index.ts';
import { startPrometheus } from '../../kit/backends.ts';
import { temporaryFolder } from '../../kit/process.ts';
import { holdsContract } from './suite.ts';

async function open(): Promise<Store> {
  const folder = await temporaryFolder();
  const prometheus = await startPrometheus();
  const store = openPrometheusStore({
    remoteWriteUrl: prometheus.remoteWriteUrl,
    queryUrl: prometheus.url,
    folder: folder.path,
    access: { headers: {}, tls: undefined },
    version: '0',
  });
  return {
    destination: store.destination,
    readers: store.readers,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await prometheus[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

holdsContract('prometheus', ['metrics'], open);
