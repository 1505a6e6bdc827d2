import { signals } from '../../../src/base/index.ts';
import { openEmbeddedStore } from '../../../src/stores/embedded/index.ts';
import { temporaryFolder } from '../../kit/process.ts';
import { holdsContract } from './suite.ts';

const weekMs = 7 * 24 * 3_600_000;

holdsContract('embedded', signals, async () => {
  const folder = await temporaryFolder();
  const retentionMs = { traces: weekMs, metrics: weekMs, logs: weekMs };
  const store = await openEmbeddedStore({ folder: folder.path, signals: new Set(signals), retentionMs });
  return {
    destination: store,
    readers: store.readers,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
});
