import { join } from 'node:path';
import { systemClock } from '../base/index.ts';
import { openLog } from '../wal/index.ts';
import { startEmbeddedChild } from './index.ts';

// A parent for client.test.ts to kill: starts a child and tells its process id.

const dir = process.argv[2] ?? '';
const log = await openLog({ dir: join(dir, 'log'), signal: 'logs', maxBytes: 64 << 20, clock: systemClock });
const ignore = () => {};
const child = await startEmbeddedChild({
  logs: [{ log, dir: join(dir, 'log') }],
  store: {
    folder: join(dir, 'store'),
    signals: new Set(['logs']),
    retentionMs: { traces: 1e9, metrics: 1e9, logs: 1e9 },
  },
  deadLetters: { add: async () => true },
  observer: { sent: ignore, failed: ignore, refused: ignore, skipped: ignore },
  logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
});
process.send?.(child.pid);
