import { existsSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Block, blocksOf, repository } from '../kit/documents.ts';
import { startCluster } from './kit/cluster.ts';
import { run } from './kit/kubernetes.ts';
import { imagesOf } from './kit/release.ts';

// Every command of the documents about Kubernetes, as it stands there, one document after the other, by a person who has
// nothing but a cluster. Which blocks are not run, and why, stands in their first line, and in test/scripts/documents.test.ts.

let folder: string;
/** What the agent keeps on its node; the test's node has this folder of the machine. */
const checkpoints = '/var/lib/watchingcat';
const hadCheckpoints = existsSync(checkpoints);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watchingcat-documents-'));
  // Where commands are run: what they write stays out of the repository.
  await symlink(join(repository, 'k8s'), join(folder, 'k8s'));
  const shop = 'docker.io/watchingcat/example-shop:0.1.0';
  await startCluster([...(await imagesOf('--set', 'profile=embedded')), shop]);
}, 600_000);
afterAll(async () => {
  await run('helm', ['uninstall', 'watchingcat', '-n', 'observability']);
  await run('kubectl', ['delete', 'namespace', 'observability', 'shop', '--ignore-not-found', '--timeout=150s'], {
    timeoutMs: 160_000,
  });
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  if (!hadCheckpoints) await rm(checkpoints, { recursive: true, force: true });
}, 300_000);

/**
 * What a reader is told to see. Commands that only read are tried again for two minutes until it is there: telemetry takes
 * as long as an interval of collection.
 */
const shows: readonly { command: RegExp; shown: RegExp }[] = [
  { command: /install\.sh --profile embedded/, shown: /3 of 3 pods ready/ },
  { command: /install\.sh --reuse-values/, shown: /3 of 3 pods ready/ },
  { command: /--dry-run > manifests\.yaml/, shown: /sized down|are asked for/ },
  { command: /get pods/, shown: /watchingcat-otel-agent-\S+ +1\/1 +Running/ },
  { command: /helm test/, shown: /Phase: +Succeeded/ },
  { command: /watchingcat\.js services/, shown: /SERVICE[\s\S]*kubernetes-apiserver/ },
  { command: /logs --namespace kube-system/, shown: /coredns/i },
  { command: /watchingcat\.js events/, shown: /Pulled|Created|Started|Scheduled/ },
  { command: /sum by \(namespace\) \(pod_memory_usage_bytes\)/, shown: /namespace="?observability/ },
  {
    command: /k8s\/pods\?namespace=observability/,
    shown: /"name":"watchingcat-backend-[^"]+"[\s\S]*"status":"Running"/,
  },
  { command: /k8s\/overview/, shown: /"nodes":/ },
  { command: /proxy\/health/, shown: /"status":"ok"[\s\S]*"enrichment":\{"status":"synced"/ },
  { command: /pipeline\/status/, shown: /"signal":"logs"/ },
  // By OTLP, scraped, and from stdout: it is one service all the same.
  { command: /watchingcat\.js services[\s\S]*storefront/, shown: /payment +shop +traces metrics logs/ },
  { command: /traces 'service=storefront'/, shown: /storefront/ },
  { command: /"payment declined"/, shown: /"message":"payment declined"/ },
  { command: /shop_payments_total/, shown: /outcome="?declined/ },
  {
    command: /get values watchingcat/,
    shown: /clusterName: laptop[\s\S]*collectionInterval: 60s|collectionInterval: 60s[\s\S]*clusterName: laptop/,
  },
  { command: /uninstall\.sh$/, shown: /release watchingcat is gone[\s\S]*the namespace observability stays/ },
  { command: /--delete-namespace --yes/, shown: /namespace observability is gone/ },
];

async function runBlock({ file, line, code }: Block): Promise<void> {
  const wanted = shows.filter(({ command }) => new RegExp(command.source, 'm').test(code)).map(({ shown }) => shown);
  const onlyReads = !/install\.sh|apply|delete|helm test/.test(code);
  const deadline = performance.now() + (onlyReads ? 120_000 : 0);
  for (;;) {
    const {
      code: exit,
      stdout,
      stderr,
    } = await run('bash', ['-eo', 'pipefail', '-c', `cd '${folder}'\n${code}`], { timeoutMs: 600_000 });
    const missing = wanted.filter((shown) => !shown.test(stdout + stderr));
    if (exit === 0 && missing.length === 0) return;
    if (performance.now() > deadline) {
      expect.fail(
        `${file}:${line} ended with ${exit}, without ${missing.join(', ') || 'an error'}\n${code}\n\n${stdout}${stderr}`,
      );
    }
    await sleep(3000);
  }
}

const isRun = ({ notRun }: Block) => notRun === undefined;
const quickStart = blocksOf('k8s/QUICKSTART.md').filter(isRun);
const application = quickStart.findIndex(({ section }) => section.startsWith('5.'));

it.each([
  { document: 'k8s/QUICKSTART.md, up to an application', blocks: quickStart.slice(0, application) },
  { document: 'k8s/examples/README.md', blocks: blocksOf('k8s/examples/README.md').filter(isRun) },
  { document: 'k8s/QUICKSTART.md, from there on', blocks: quickStart.slice(application) },
  { document: 'k8s/README.md', blocks: blocksOf('k8s/README.md').filter(isRun) },
  { document: 'README.md', blocks: blocksOf('README.md', 'In Kubernetes').filter(isRun) },
])('$document', { timeout: 900_000 }, async ({ blocks }) => {
  expect(blocks.length).toBeGreaterThan(0);
  for (const block of blocks) await runBlock(block);
});
