import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { ApiServer } from '../../../test/kit/api-server.ts';
import { selfSigned } from '../../../test/kit/certificate.ts';
import { inClusterAccess, kubeconfigAccess } from './access.ts';
import { type ApiAnswer, ApiClient } from './api.ts';

let folder: string;
const server = selfSigned();
const client = selfSigned();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'watchingcat-access-'));
  writeFileSync(join(folder, 'ca.crt'), server.cert);
  writeFileSync(join(folder, 'client.crt'), client.cert);
  writeFileSync(join(folder, 'client.key'), client.key);
  writeFileSync(join(folder, 'token'), 'of-the-file\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

const base64 = (text: string) => Buffer.from(text).toString('base64');

function kubeconfig(url: string, cluster: object, user: object | undefined): string {
  const path = join(folder, 'config');
  writeFileSync(
    path,
    stringify({
      'current-context': 'second',
      contexts: [
        { name: 'first', context: { cluster: 'other', user: 'other' } },
        { name: 'second', context: { cluster: 'c', ...(user === undefined ? {} : { user: 'u' }) } },
      ],
      clusters: [
        { name: 'other', cluster: { server: 'https://elsewhere' } },
        { name: 'c', cluster: { server: url, ...cluster } },
      ],
      users: user === undefined ? [] : [{ name: 'u', user }],
    }),
  );
  return path;
}

async function get(result: Awaited<ReturnType<typeof kubeconfigAccess>>): Promise<ApiAnswer> {
  if (result.kind === 'problem') throw new Error(result.message);
  const api = new ApiClient(result.access);
  const answer = await api.get('/api/v1/pods?limit=1', 'application/json', 5_000, new AbortController().signal);
  if (answer.kind === 'ok') answer.body.resume();
  api.close();
  return answer;
}

describe('a kubeconfig', () => {
  const data = { 'certificate-authority-data': base64(server.cert) };
  const certificate = { 'client-certificate': 'client.crt', 'client-key': 'client.key' };
  it.each([
    ['a token', data, { token: 'of-the-config' }, 'Bearer of-the-config', undefined],
    ['a token file, which comes first', data, { token: 'no', tokenFile: 'token' }, 'Bearer of-the-file', undefined],
    ['a client certificate in files', { 'certificate-authority': 'ca.crt' }, certificate, undefined, 'localhost'],
    [
      'a client certificate in the file, which comes first',
      { ...data, 'certificate-authority': 'absent' },
      {
        'client-certificate-data': base64(client.cert),
        'client-key-data': base64(client.key),
        'client-certificate': 'absent',
      },
      undefined,
      'localhost',
    ],
    ['nothing', data, undefined, undefined, undefined],
    ['a server that is not verified', { 'insecure-skip-tls-verify': true }, {}, undefined, undefined],
    ['a server of another name', { ...data, 'tls-server-name': 'localhost' }, {}, undefined, undefined],
  ])('with %s is followed', async (_, cluster, user, authorization, subject) => {
    const api = await ApiServer.start({
      tls: { cert: server.cert, key: server.key, requestCert: true, rejectUnauthorized: false, ca: client.cert },
    });
    try {
      expect((await get(await kubeconfigAccess(kubeconfig(String(api.url), cluster, user)))).kind).toBe('ok');
      expect(api.seen).toEqual([expect.objectContaining({ authorization, client: subject, path: '/api/v1/pods' })]);
    } finally {
      await api.stop();
    }
  });

  it.each([
    ['no certificate authority for it', {}],
    ['a name that it has not', { ...data, 'tls-server-name': 'example.com' }],
  ])('does not trust a server with %s', async (_, cluster) => {
    const api = await ApiServer.start({ tls: { cert: server.cert, key: server.key } });
    try {
      const answer = await get(await kubeconfigAccess(kubeconfig(String(api.url), cluster, { token: 't' })));
      expect(answer).toMatchObject({ kind: 'broken', message: expect.stringMatching(/certificate|altnames/) });
      expect(api.seen).toEqual([]);
    } finally {
      await api.stop();
    }
  });

  it('may have a path in front of the API', async () => {
    const api = await ApiServer.start();
    try {
      await get(await kubeconfigAccess(kubeconfig(`${api.url}k8s/clusters/c-1/`, {}, { token: 't' })));
      expect(api.seen.map(({ path }) => path)).toEqual(['/k8s/clusters/c-1/api/v1/pods']);
    } finally {
      await api.stop();
    }
  });

  it.each([
    [
      'exec',
      {},
      { exec: { command: 'aws', env: 'secret' } },
      'credentials by a program (exec) are not supported: give a token',
    ],
    ['auth-provider', {}, { 'auth-provider': { name: 'gcp' } }, 'credentials by an auth-provider are not supported'],
    ['a password', {}, { username: 'u', password: 'secret' }, 'user name and password are not supported'],
    ['impersonation', {}, { token: 'secret', as: 'root' }, 'impersonation (as) is not supported'],
    ['a proxy', { 'proxy-url': 'http://proxy' }, {}, 'proxy-url is not supported'],
    ['a missing file', {}, { tokenFile: 'absent' }, 'absent cannot be read: ENOENT'],
    ['another scheme', { server: 'ftp://a' }, {}, 'the server of cluster c is no URL that begins with https://'],
    ['no server', { server: null }, {}, 'the server of cluster c is no URL'],
  ])('with %s is answered with what is wrong', async (_, cluster, user, message) => {
    const result = await kubeconfigAccess(kubeconfig('https://a', cluster, user));
    expect(result).toEqual({ kind: 'problem', message: expect.stringContaining(message) });
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  it.each([
    ['is not YAML', 'users: [{name: u, user: {token: secret}', 'config is not YAML: line 1'],
    ['is empty', '', 'config: there is no current-context'],
    ['is a list', '[1]', 'config: there is no current-context'],
    ['names no context', 'current-context: c', 'config: there is no context c'],
    ['names no cluster', 'current-context: c\ncontexts: [{name: c, context: {}}]', 'config: there is no cluster '],
    [
      'names no user',
      'current-context: c\ncontexts: [{name: c, context: {cluster: d, user: e}}]\nclusters: [{name: d, cluster: {}}]',
      'config: there is no user e',
    ],
  ])('that %s is answered with what is wrong', async (_, text, message) => {
    const path = join(folder, 'config');
    writeFileSync(path, text);
    const result = await kubeconfigAccess(path);
    expect(result).toEqual({ kind: 'problem', message: expect.stringContaining(message) });
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  it('that is not there', async () => {
    const message = `${folder}/none cannot be read: ENOENT`;
    expect(await kubeconfigAccess(join(folder, 'none'))).toEqual({ kind: 'problem', message });
  });
});

describe('a pod', () => {
  it('shows the token of its service account', async () => {
    const api = await ApiServer.start({ tls: { cert: server.cert, key: server.key } });
    try {
      const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: api.url.port };
      expect((await get(inClusterAccess(env, folder))).kind).toBe('ok');
      expect(api.seen.map(({ authorization }) => authorization)).toEqual(['Bearer of-the-file']);
    } finally {
      await api.stop();
    }
  });

  it('without a token says so when it asks', async () => {
    const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '1' };
    const answer = await get(inClusterAccess(env, join(folder, 'none')));
    expect(answer).toEqual({
      kind: 'broken',
      message: expect.stringMatching(/none\/(token|ca\.crt) cannot be read: ENOENT/),
    });
  });

  it.each([
    ['10.96.0.1', 'https://10.96.0.1:6443/'],
    ['fd00::1', 'https://[fd00::1]:6443/'],
  ])('reaches the API server at %s', (host, url) => {
    const result = inClusterAccess({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: '6443' });
    expect(result.kind === 'access' && result.access.server.href).toBe(url);
  });

  it.each([{}, { KUBERNETES_SERVICE_HOST: 'a' }, { KUBERNETES_SERVICE_HOST: 'a b', KUBERNETES_SERVICE_PORT: '1' }])(
    'is not where the environment is %j',
    (env) => expect(inClusterAccess(env).kind).toBe('problem'),
  );
});
