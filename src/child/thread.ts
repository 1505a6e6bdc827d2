import { parentPort } from 'node:worker_threads';
import type { Store } from '../stores/contract.ts';
import { type HostTools, StoreHost } from './hosting.ts';
import type { HostedStore, ToChild } from './protocol.ts';

// Entry point of the threads that hold the other stores: decoding and encoding for them happens here. An exception that
// nobody catches ends the thread, and another is started.

const host = new StoreHost({
  send: (message) => parentPort?.postMessage(message),
  open: openStore,
  end() {
    parentPort?.postMessage({ kind: 'stopped' });
    process.exit(0);
  },
});
parentPort?.on('message', (message: ToChild) => void host.receive(message));

/** One line a store; what it needs is loaded only where it is configured. */
async function openStore(hosted: HostedStore, { emit, log }: HostTools): Promise<Store> {
  switch (hosted.kind) {
    case 'jaeger':
      return (await import('../stores/jaeger/index.ts')).openJaegerStore(hosted.options);
    case 'prometheus':
      return (await import('../stores/prometheus/index.ts')).openPrometheusStore(hosted.options);
    case 'elasticsearch': {
      const { openElasticsearchStore } = await import('../stores/elasticsearch/index.ts');
      return openElasticsearchStore({
        ...hosted.options,
        onUpkeep({ deleted, failed }) {
          if (deleted.length > 0) log('info', { indices: deleted }, 'indices whose records are too old were deleted');
          if (failed !== undefined) log('warn', { reason: failed }, 'upkeep of the indices failed');
        },
      });
    }
    case 'spanmetrics': {
      const { openSpanMetrics } = await import('../spanmetrics/index.ts');
      const warn = (message: string, thrown: unknown) => log('warn', { err: thrown }, message);
      const destination = await openSpanMetrics({ ...hosted.options, emit, warn });
      return { destination, readers: {}, [Symbol.asyncDispose]: () => destination[Symbol.asyncDispose]() };
    }
    case 'embedded':
      throw new Error('the embedded store has a process of its own');
  }
}
