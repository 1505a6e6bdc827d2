import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { getJson } from '../../kit/process.ts';
import { type Forwarded, forward, get } from './cluster.ts';
import { kubectl, run } from './kubernetes.ts';

// The chart, installed as a user installs it, and what the REST API then says.

const k8s = fileURLToPath(new URL('../../../k8s', import.meta.url));
const chart = join(k8s, 'helm/k8s-infra');
export const namespace = 'observability';
const values = fileURLToPath(new URL('../values.yaml', import.meta.url));

/** Images that the chart with these options runs. */
export async function imagesOf(...options: readonly string[]): Promise<string[]> {
  const { code, stdout, stderr } = await run('helm', ['template', 'watchingcat', chart, '-f', values, ...options]);
  if (code !== 0) throw new Error(stderr);
  return [...new Set([...stdout.matchAll(/^\s*(?:- )?image: "?([^"\s]+)"?$/gm)].map(([, image]) => image!))];
}

/** install.sh: installs the chart, or changes what is installed, and waits until all is ready. @returns what was said. */
export async function install(...options: readonly string[]): Promise<string> {
  const script = join(k8s, 'scripts/install.sh');
  const given = ['--namespace', namespace, '--values', values, '--timeout', '6m', ...options];
  const { code, stdout, stderr } = await run(script, given, { timeoutMs: 420_000 });
  if (code !== 0) throw new Error(`${stdout}${stderr}\n${await state()}`);
  return `${stdout}${stderr}`;
}

/** uninstall.sh. @returns what was said. */
export async function uninstall(...options: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(join(k8s, 'scripts/uninstall.sh'), ['--namespace', namespace, ...options]);
  if (code !== 0) throw new Error(`${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}

/** What stands in the way, for the message of a test that failed. */
async function state(): Promise<string> {
  const pods = await run('kubectl', ['get', 'pods', '-A', '-o', 'wide']);
  const events = await run('kubectl', ['get', 'events', '-n', namespace, '--sort-by=.lastTimestamp']);
  const lines = events.stdout.split('\n').slice(-25).join('\n');
  const logs = await run('kubectl', [
    'logs',
    '-n',
    namespace,
    '-l',
    'app.kubernetes.io/part-of=watchingcat',
    '--tail=5',
    '--prefix',
  ]);
  return `${pods.stdout}${lines}\n${logs.stdout.slice(-6000)}`;
}

interface Pods {
  readonly items: readonly {
    readonly metadata: { name: string; uid: string; namespace: string; labels: Record<string, string> };
    readonly spec: { nodeName: string };
    readonly status: {
      phase: string;
      podIP: string;
      conditions: readonly { type: string; status: string }[];
      containerStatuses: readonly { restartCount: number; lastState: { terminated?: { reason: string } } }[];
    };
  }[];
}

/** Pods of a namespace, also by label: `app=checkout`. */
export async function pods(of: string, selector = ''): Promise<Pods['items']> {
  return (await get<Pods>('pods', '-n', of, ...(selector === '' ? [] : ['-l', selector]))).items;
}

/** The backend's REST API on this machine. */
export interface Rest extends AsyncDisposable {
  readonly base: string;
  ask<T>(path: string, query?: Record<string, string>): Promise<T>;
  /** Result of a PromQL query now. */
  metrics(query: string): Promise<readonly { metric: Record<string, string>; value: [number, string] }[]>;
}

export async function rest(): Promise<Rest> {
  const forwarded: Forwarded = await forward(`${namespace}/watchingcat-backend:8090`);
  const ask = async <T>(path: string, query: Record<string, string> = {}): Promise<T> =>
    (await getJson(`http://${forwarded.address}`, path, query)) as T;
  return {
    get base() {
      return `http://${forwarded.address}`;
    },
    ask,
    async metrics(query) {
      const { data } = await ask<{ data: { result: never[] } }>('/api/v1/metrics/query', { query });
      return data.result;
    },
    [Symbol.asyncDispose]: () => forwarded[Symbol.asyncDispose](),
  };
}

/**
 * Asks until it suits; telemetry of a cluster is there after some collection intervals.
 * @throws Error with the last answer or failure.
 */
export async function within<T>(seconds: number, ask: () => Promise<T>, suits: (answer: T) => boolean): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    let said: string;
    try {
      const answer = await ask();
      if (suits(answer)) return answer;
      said = JSON.stringify(answer);
    } catch (thrown) {
      said = String(thrown);
    }
    if (performance.now() > deadline) throw new Error(`after ${seconds} s the last answer was ${said.slice(0, 4000)}`);
    await sleep(1000);
  }
}

/** What is in the cluster of the chart, but for its volumes. */
export async function left(): Promise<string[]> {
  const kinds = [
    'all',
    'configmaps',
    'secrets',
    'serviceaccounts',
    'roles',
    'rolebindings',
    'networkpolicies',
    'leases',
  ];
  const wide = 'clusterroles,clusterrolebindings';
  const named = ['get', [...kinds, 'poddisruptionbudgets', 'ingresses', wide].join(','), '-A', '-o', 'name'];
  const labelled = await kubectl(...named, '-l', 'app.kubernetes.io/part-of=watchingcat');
  // The lease is made by the one that leads, and has no label.
  const leases = await kubectl('get', 'leases', '-n', namespace, '-o', 'name');
  return [...labelled.split('\n'), ...leases.split('\n')].filter(Boolean).sort();
}

/** Deletes a namespace and waits until it is gone. */
export async function removeNamespace(name: string): Promise<void> {
  await kubectl('delete', 'namespace', name, '--ignore-not-found', '--wait', '--timeout=120s');
}
