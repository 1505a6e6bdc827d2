import { parentPort } from 'node:worker_threads';
import type { Store } from '../stores/contract.ts';
import { StoreHost } from './hosting.ts';
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
async function openStore(hosted: HostedStore): Promise<Store> {
  switch (hosted.kind) {
    case 'jaeger':
      return (await import('../stores/jaeger/index.ts')).openJaegerStore(hosted.options);
    case 'embedded':
      throw new Error('the embedded store has a process of its own');
  }
}
