import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { join } from 'node:path';
import { backendsHome, freePort, type RunningProgram, startProgram } from '../../kit/program.ts';

// The real etcd and API server without a node: objects are what the test makes them, and either program can be stopped,
// killed and started again. For what happens to pods, see the cluster (cluster.ts).

const tokens = { admin: 'token-of-the-administrator', account: 'token-of-the-account' };
/** Whom RBAC knows the backend as. */
const account = 'watchingcat';
const groups = { replicasets: 'apps', jobs: 'batch' } as Readonly<Record<string, string>>;
export const resources = ['pods', 'nodes', 'namespaces', 'replicasets', 'jobs'] as const;
const rbac = '/apis/rbac.authorization.k8s.io/v1';

export class KubernetesApi implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #etcdPort: number;
  #etcd: RunningProgram | undefined;
  #server: RunningProgram | undefined;
  #starts = 0;

  private constructor(folder: string, port: number, etcdPort: number) {
    this.#folder = folder;
    this.port = port;
    this.#etcdPort = etcdPort;
  }

  /** @param folder For data, certificates and logs. */
  static async start(folder: string): Promise<KubernetesApi> {
    const api = new KubernetesApi(folder, await freePort(), await freePort());
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await writeFile(join(folder, 'sa.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await writeFile(
      join(folder, 'tokens.csv'),
      `${tokens.admin},admin,1,system:masters\n${tokens.account},${account},2\n`,
    );
    try {
      await api.#startEtcd();
      await api.startServer();
    } catch (thrown) {
      await api[Symbol.asyncDispose]();
      throw thrown;
    }
    return api;
  }

  async startServer(): Promise<void> {
    const file = (name: string) => join(this.#folder, name);
    this.#server = await startProgram({
      command: program('kube-apiserver'),
      args: [
        `--etcd-servers=http://127.0.0.1:${this.#etcdPort}`,
        ...[`--secure-port=${this.port}`, '--bind-address=127.0.0.1', '--advertise-address=127.0.0.1'],
        ...[
          `--cert-dir=${this.#folder}`,
          `--token-auth-file=${file('tokens.csv')}`,
          '--authorization-mode=RBAC',
          '--anonymous-auth=false',
        ],
        ...['--service-account-issuer=https://kubernetes.default.svc', '--service-cluster-ip-range=10.96.0.0/16'],
        ...[`--service-account-key-file=${file('sa.key')}`, `--service-account-signing-key-file=${file('sa.key')}`],
        // Of a pod that nobody's service account runs.
        '--disable-admission-plugins=ServiceAccount',
      ],
      logFile: file(`kube-apiserver-${++this.#starts}.log`),
      ready: () =>
        this.request('GET', '/readyz').then(
          () => true,
          () => false,
        ),
      readyMs: 90_000,
    });
  }

  /** Of the API server. */
  signal(signal: NodeJS.Signals): void {
    this.#server?.kill(signal);
  }

  /** Ends the API server without a farewell. */
  async killServer(): Promise<void> {
    this.#server?.kill('SIGKILL');
    await this.#server?.exited;
  }

  /** Takes all that was there away and starts anew with nothing: as a cluster that was restored, resource versions begin again. */
  async startOver(): Promise<void> {
    await this.killServer();
    await this.#etcd?.stop();
    await this.#startEtcd();
    await this.startServer();
  }

  /** As the administrator. @throws Error with the status where it is not done. */
  async request(method: string, path: string, body?: object): Promise<unknown> {
    const request = https.request({
      ...{ host: '127.0.0.1', port: this.port, method, path, ca: await this.#ca(), timeout: 10_000 },
      headers: {
        authorization: `Bearer ${tokens.admin}`,
        'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      },
    });
    request.on('timeout', () => request.destroy(new Error('no answer for 10 s')));
    request.end(body === undefined ? undefined : JSON.stringify(body));
    const [answer] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    if ((answer.statusCode ?? 0) >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    return text.startsWith('{') ? JSON.parse(text) : text;
  }

  /** What the backend may read, from now on. */
  async allow(allowed: readonly string[]): Promise<void> {
    const metadata = { name: account };
    const rules = allowed.map((resource) => ({
      apiGroups: [groups[resource] ?? ''],
      resources: [resource],
      verbs: ['get', 'list', 'watch'],
    }));
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: account };
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: account }];
    for (const [kind, object] of [
      ['clusterroles', { metadata, rules }],
      ['clusterrolebindings', { metadata, roleRef, subjects }],
    ] as const) {
      const path = `${rbac}/${kind}`;
      await this.request('PATCH', `${path}/${account}`, object).catch(() => this.request('POST', path, object));
    }
  }

  /** @param port Where the backend reaches the API server: a proxy's, or its own. @returns The path. */
  async writeKubeconfig(port: number): Promise<string> {
    const path = join(this.#folder, `kubeconfig-${port}`);
    const config = {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      clusters: [
        {
          name: 'c',
          cluster: {
            server: `https://127.0.0.1:${port}`,
            'certificate-authority-data': Buffer.from(await this.#ca()).toString('base64'),
          },
        },
      ],
      users: [{ name: 'u', user: { token: tokens.account } }],
    };
    await writeFile(path, JSON.stringify(config));
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server?.kill('SIGCONT');
    await this.#server?.stop();
    await this.#etcd?.stop();
  }

  /** What the API server signed for itself at its first start. */
  #ca(): Promise<string> {
    return readFile(join(this.#folder, 'apiserver.crt'), 'utf8');
  }

  async #startEtcd(): Promise<void> {
    const client = `http://127.0.0.1:${this.#etcdPort}`;
    const peers = `http://127.0.0.1:${await freePort()}`;
    const name = `etcd-${this.#starts}`;
    this.#etcd = await startProgram({
      command: program('etcd'),
      args: [
        ...['--name', name, '--data-dir', join(this.#folder, name), '--unsafe-no-fsync', '--log-level', 'warn'],
        ...['--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', peers],
        ...['--initial-advertise-peer-urls', peers, '--initial-cluster', `${name}=${peers}`],
      ],
      logFile: join(this.#folder, `${name}.log`),
      ready: () =>
        fetch(`${client}/health`).then(
          (answer) => answer.ok,
          () => false,
        ),
    });
  }
}

function program(name: string): string {
  const path = join(backendsHome(), 'cluster/bin', name);
  if (!existsSync(path)) throw new Error(`${path} is missing: build it with shared/cluster/install`);
  return path;
}
