import type { Store } from '../../../src/stores/contract.ts';
import { openJaegerStore } from '../../../src/stores/jaeger/index.ts';
import { startJaeger } from '../../kit/backends.ts';
import { holdsContract } from './suite.ts';

const namesOnly = 'as Jaeger knows names only; span metrics tell the rest';
const known = {
  'services with their spans, errors and last sight': namesOnly,
  'operations of a service': namesOnly,
};

async function open(): Promise<Store> {
  const jaeger = await startJaeger();
  const store = openJaegerStore({
    otlpEndpoint: jaeger.otlpEndpoint,
    queryEndpoint: jaeger.queryUrl,
    access: { headers: {}, tls: undefined },
    version: '0',
  });
  return {
    destination: store.destination,
    readers: store.readers,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await jaeger[Symbol.asyncDispose]();
    },
  };
}

holdsContract('jaeger', ['traces'], open, known);
