import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Elasticsearch, ElasticsearchOptions } from './backends.ts';
import { backendsHome, freePort, type RunningProgram, startProgram } from './program.ts';

/** OpenSearch, one node without security, with fresh data, in the form in which tests know Elasticsearch. */
export async function startOpenSearch(options: ElasticsearchOptions = {}): Promise<Elasticsearch> {
  const program = join(backendsHome(), 'opensearch');
  if (!existsSync(program)) throw new Error(`${program} is missing: test/kit/opensearch/install makes it`);
  const home = await mkdtemp(join(tmpdir(), 'opensearch-'));
  for (const folder of ['config', 'modules', 'plugins']) await mkdir(join(home, folder));
  const port = options.port ?? (await freePort());
  const transportPort = await freePort();
  const heap = options.heap ?? '512m';
  const settings = (options.settings ?? []).map((line) => line.replace(/: */, '='));
  const url = `http://127.0.0.1:${port}`;
  const launch = () =>
    startProgram({
      command: 'java',
      args: [
        ...[`-Xms${heap}`, `-Xmx${heap}`, '-cp', `${program}/classes:${program}/lib/*`],
        ...['OpenSearchNode', home, `${port}`, `${transportPort}`, ...settings],
      ],
      logFile: join(home, 'output.log'),
      ready: async () => (await fetch(`${url}/_cluster/health?wait_for_status=yellow`)).ok,
      readyMs: 180_000,
    });
  const removed = () => rm(home, { recursive: true, force: true, maxRetries: 5 });
  let running: RunningProgram;
  try {
    running = await launch();
  } catch (thrown) {
    await removed();
    throw thrown;
  }
  return {
    url,
    get pid() {
      return running.pid;
    },
    signal: (signal) => running.kill(signal),
    stop: () => running.stop(),
    async start() {
      await running.stop();
      running = await launch();
    },
    async [Symbol.asyncDispose]() {
      await running.stop();
      await removed();
    },
  };
}
