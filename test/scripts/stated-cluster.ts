import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { temporaryFolder } from '../kit/process.ts';
import { type Ended, runToEnd } from '../kit/program.ts';

// A cluster that is as a test states it: what kubectl asks for is answered from a table, so that what the scripts ask, and
// make of the answers, can be seen where there is no cluster. Source: Kubernetes API concepts, and what kubectl discovers.

const kubectl = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((folder) => join(folder, 'kubectl'))
  .find((file) => existsSync(file));
export const hasKubectl: boolean = kubectl !== undefined;

export interface StatedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [more: string]: unknown };
  readonly [more: string]: unknown;
}
interface Stated {
  readonly objects: readonly StatedObject[];
  /** Kinds of which there need be no object, as `apiVersion Kind`. */
  readonly kinds?: readonly string[];
  /** Plurals that may not be listed. */
  readonly forbidden?: readonly string[];
  /** What this user may not do, as `verb resource.group`. */
  readonly denied?: readonly string[];
  /** Branches of a `case` of sh for what helm was called with; there is no release unless one says so. */
  readonly helm?: string;
}

const plural = (kind: string): string =>
  kind === 'Endpoints'
    ? 'endpoints'
    : kind
        .toLowerCase()
        .replace(/y$/, 'ie')
        .replace(/(ss|s)$/, '$1e')
        .concat('s');
/** Kinds that every cluster has, and the scripts ask for. */
const always = ['v1 Namespace', 'v1 Node', 'v1 Pod', 'v1 PersistentVolumeClaim', 'coordination.k8s.io/v1 Lease'];
const clusterWide = ['Node', 'Namespace', 'StorageClass'];

export class StatedCluster implements AsyncDisposable {
  /** `METHOD /path` of all that was to be changed. */
  readonly changes: string[] = [];
  readonly #stated: Stated;
  readonly #server = http.createServer((request, response) => this.#answer(request, response));
  #folder!: Awaited<ReturnType<typeof temporaryFolder>>;

  private constructor(stated: Stated) {
    this.#stated = stated;
  }

  static async start(stated: Stated): Promise<StatedCluster> {
    const cluster = new StatedCluster(stated);
    await new Promise<void>((resolve) => cluster.#server.listen(0, '127.0.0.1', resolve));
    cluster.#folder = await temporaryFolder();
    const { port } = cluster.#server.address() as AddressInfo;
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'stated',
      contexts: [{ name: 'stated', context: { cluster: 'stated', user: 'stated' } }],
      clusters: [{ name: 'stated', cluster: { server: `http://127.0.0.1:${port}` } }],
      users: [{ name: 'stated', user: {} }],
    };
    writeFileSync(join(cluster.#folder.path, 'kubeconfig'), JSON.stringify(config));
    mkdirSync(join(cluster.#folder.path, 'bin'));
    cluster.#program('helm', [
      '"version --short") echo v3.19.0 ;;',
      stated.helm ?? '',
      "*) echo 'Error: release: not found' >&2; exit 1 ;;",
    ]);
    // Rights are not asked for in JSON.
    cluster.#program('kubectl', [
      ...(stated.denied ?? []).map((right) => `*"can-i ${right} "*) exit 1 ;;`),
      '*"can-i "*) ;;',
      `*) exec '${kubectl}' "$@" ;;`,
    ]);
    return cluster;
  }

  /** @param branches Of a `case` of sh, for what it is called with. */
  #program(name: string, branches: readonly string[]): void {
    const file = join(this.#folder.path, 'bin', name);
    writeFileSync(file, ['#!/bin/sh', 'case "$*" in', ...branches, 'esac', ''].join('\n'));
    chmodSync(file, 0o755);
  }

  /** Runs a program that finds kubectl and the cluster, and such a helm. */
  run(command: string, args: readonly string[], input = ''): Promise<Ended> {
    const { path } = this.#folder;
    return runToEnd(command, args, {
      input,
      env: {
        KUBECONFIG: join(path, 'kubeconfig'),
        KUBECACHEDIR: join(path, 'cache'),
        HOME: path,
        PATH: [join(path, 'bin'), process.env['PATH']].join(delimiter),
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await this.#folder[Symbol.asyncDispose]();
  }

  /** `apiVersion Kind` of all that there is. */
  get #kinds(): readonly string[] {
    const { objects, kinds = [] } = this.#stated;
    return [...new Set([...objects.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`), ...kinds, ...always])];
  }

  #answer({ method = 'GET', url = '' }: http.IncomingMessage, response: http.ServerResponse): void {
    const { pathname, searchParams } = new URL(url, 'http://stated');
    const say = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    const found = this.#find(method, pathname, searchParams.get('labelSelector') ?? '');
    if (method !== 'GET') this.changes.push(`${method} ${pathname}`);
    if (found === undefined) say(404, failure(404, 'NotFound', `${pathname} not found`));
    else if (found === 'forbidden') say(403, failure(403, 'Forbidden', `${pathname} is forbidden`));
    else say(200, found);
  }

  #find(method: string, pathname: string, selector: string): unknown {
    if (pathname === '/version') return { major: '1', minor: '32', gitVersion: 'v1.32.4' };
    if (pathname === '/api') return { kind: 'APIVersions', versions: ['v1'] };
    const groups = [...new Set(this.#kinds.map((each) => each.split(' ')[0] ?? ''))].filter((each) => each !== 'v1');
    if (pathname === '/apis') {
      const told = groups.map((groupVersion) => {
        const [name, version] = groupVersion.split('/');
        return { name, versions: [{ groupVersion, version }], preferredVersion: { groupVersion, version } };
      });
      return { kind: 'APIGroupList', apiVersion: 'v1', groups: told };
    }
    const [, groupVersion, rest = ''] = /^\/(?:api\/(?=v1)|apis\/)(v1|[^/]+\/[^/]+)\/?(.*)$/.exec(pathname) ?? [];
    if (groupVersion === undefined) return undefined;
    const kinds = this.#kinds
      .filter((each) => each.startsWith(`${groupVersion} `))
      .map((each) => each.split(' ')[1] ?? '');
    if (rest === '') {
      const resources = kinds.map((kind) => {
        return { name: plural(kind), kind, namespaced: !clusterWide.includes(kind), verbs: ['get', 'list', 'delete'] };
      });
      return { kind: 'APIResourceList', groupVersion, resources };
    }
    const [, namespace, resource, name] = /^(?:namespaces\/([^/]+)\/)?([^/]+)(?:\/([^/]+))?$/.exec(rest) ?? [];
    const kind = kinds.find((each) => plural(each) === resource);
    if (kind === undefined) return undefined;
    if (this.#stated.forbidden?.includes(resource ?? '')) return 'forbidden';
    const items = this.#stated.objects.filter(
      ({ apiVersion, kind: its, metadata }) =>
        apiVersion === groupVersion &&
        its === kind &&
        (namespace === undefined || metadata.namespace === namespace) &&
        isSelected((metadata['labels'] ?? {}) as Record<string, string>, selector) &&
        !this.changes.some((change) => change.startsWith('DELETE') && change.endsWith(`/${metadata.name}`)),
    );
    if (name === undefined) return { apiVersion: groupVersion, kind: `${kind}List`, metadata: {}, items };
    if (method === 'DELETE') return { apiVersion: 'v1', kind: 'Status', status: 'Success' };
    return items.find(({ metadata }) => metadata.name === name);
  }
}

/** @param selector Such as `a=b,c!=d`. */
function isSelected(labels: Record<string, string>, selector: string): boolean {
  return selector.split(',').every((condition) => {
    const [, key = '', not, value] = /^([^!=]+)(!?)=(.*)$/.exec(condition) ?? [];
    return condition === '' || (labels[key] === value) === (not === '');
  });
}

const failure = (code: number, reason: string, message: string) => ({
  apiVersion: 'v1',
  kind: 'Status',
  status: 'Failure',
  code,
  reason,
  message,
});
