import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// What tests, their threads and their processes load is compiled once, as `bin/watchingcat.js` does it: a sixth of the CPU.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('.cache/compiled', import.meta.url));

// The files of `unit` and `process` share a process for each worker, which loads and compiles modules once: a quarter of the CPU.
// A file that changes what belongs to the process (a clock, a variable, a folder) puts it back.
const shared = { isolate: false };

// One project a tier. `unit` and `process` need Node and npm only and make up `npm test`; the others start real programs.
export default defineConfig({
  test: {
    // On two cores Vitest would run one file at a time, and many of them wait for a process or a disk most of theirs.
    maxWorkers: Math.max(3, availableParallelism()),
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'src/**/*.test.ts',
            'scripts/**/*.test.ts',
            'test/kit/**/*.test.ts',
            'test/scripts/**/*.test.ts',
            'test/stores/contract/embedded.test.ts',
          ],
          testTimeout: 30_000,
          ...shared,
        },
      },
      {
        test: {
          name: 'process',
          include: ['test/process/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          ...shared,
        },
      },
      {
        test: {
          name: 'clients',
          include: ['test/clients/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      { test: { name: 'chart', include: ['test/chart/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 300_000 } },
      {
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          testTimeout: 900_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'backends',
          include: ['test/backends/**/*.test.ts', 'test/stores/contract/*.test.ts'],
          exclude: ['test/stores/contract/embedded.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        // What is said of Elasticsearch's answers, said of OpenSearch's. Its faults, which take as long as all of this:
        // `ELASTICSEARCH_IS=opensearch npx vitest run --project backends elasticsearch-faults`.
        test: {
          name: 'opensearch',
          include: ['test/backends/elasticsearch{,-index}.test.ts', 'test/stores/contract/elasticsearch.test.ts'],
          env: { ELASTICSEARCH_IS: 'opensearch' },
          testTimeout: 180_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          globalSetup: 'test/cluster/setup.ts',
          testTimeout: 180_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
