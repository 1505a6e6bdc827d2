import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiServer } from '../../../test/kit/api-server.ts';
import {
  eventually,
  FollowedCluster,
  jobs,
  namespaces,
  nodes,
  pod,
  pods,
  replicaSets,
} from '../../../test/kit/followed-cluster.ts';
import { noCredentials } from './access.ts';

let cluster: FollowedCluster;
beforeEach(async () => {
  cluster = await FollowedCluster.start();
});
afterEach(() => cluster[Symbol.asyncDispose]());

describe('the API server', () => {
  it('away from the start stops nothing, and is found when it comes', async () => {
    const { port } = cluster.api.url;
    await cluster.api.stop();
    cluster.follow({ access: { server: new URL(`http://127.0.0.1:${port}`), credentials: async () => noCredentials } });
    await eventually(() => cluster.troubles.includes('pods: away'));
    expect(cluster.view.state()).toMatchObject({
      status: 'starting',
      lastError: expect.stringContaining('ECONNREFUSED'),
    });
    expect(cluster.view.podByIp('10.244.1.7')).toBeUndefined();
    cluster.api = await ApiServer.start({ port: Number(port) });
    cluster.api.put(pods, pod('a', { ip: '10.244.1.7' }));
    await eventually(() => cluster.view.podByIp('10.244.1.7') !== undefined);
    await cluster.synced();
    await eventually(() => cluster.view.state().lastError === undefined);
    expect(cluster.troubles).toContain('pods: well');
  });

  it('that goes leaves what was known last, and that is marked as stale', async () => {
    cluster.api.put(pods, pod('a', { ip: '10.244.1.7' }));
    cluster.follow();
    await cluster.synced();
    const { port } = cluster.api.url;
    await cluster.api.stop();
    await eventually(() => cluster.status === 'stale');
    cluster.laterMs += 1_000_000;
    expect(cluster.view.podByIp('10.244.1.7')?.name).toBe('a');
    expect(cluster.view.state().ageSeconds).toBeGreaterThanOrEqual(1_000);
    cluster.api = await ApiServer.start({ port: Number(port) });
    cluster.api.compact();
    cluster.api.put(pods, pod('b'));
    await eventually(() => cluster.view.podByUid('b-uid') !== undefined && cluster.status === 'synced');
    expect(cluster.view.podByUid('a-uid')?.name).toBe('a');
  });

  it('that takes the right to read pods away: what was known stays, and the right is found again', async () => {
    cluster.api.put(pods, pod('a', { ip: '10.244.1.7' }));
    cluster.follow();
    await cluster.synced();
    cluster.api.denied.add(pods);
    cluster.api.cut(pods, 'end');
    await eventually(() => cluster.status === 'denied');
    expect(cluster.view.podByIp('10.244.1.7')?.name).toBe('a');
    expect(cluster.view.state().lastError).toMatch(/^pods: 403 /);
    cluster.api.denied.clear();
    cluster.api.put(pods, pod('b'));
    await eventually(() => cluster.view.podByUid('b-uid') !== undefined && cluster.status === 'synced');
    expect(cluster.troubles.filter((each) => each === 'pods: denied')).toHaveLength(1);
  });

  it('that denies one thing is asked for the others', async () => {
    for (const path of [nodes, replicaSets, jobs, namespaces]) cluster.api.denied.add(path);
    cluster.api.put(pods, pod('a', { ip: '10.244.1.7' }));
    cluster.follow();
    await cluster.synced();
    expect(cluster.view.podByIp('10.244.1.7')?.name).toBe('a');
    expect([...new Set(cluster.troubles)].sort()).toEqual([
      'jobs: denied',
      'namespaces: denied',
      'nodes: denied',
      'replicasets: denied',
    ]);
    expect([cluster.view.clusterUid, cluster.view.nodeUid('node-1')]).toEqual([undefined, undefined]);
  });

  it('is shown the token of now', async () => {
    let token = 'first';
    cluster.follow({ access: { server: cluster.api.url, credentials: async () => ({ ...noCredentials, token }) } });
    await cluster.synced();
    token = 'second';
    cluster.api.cut(pods, 'end');
    await eventually(() => cluster.api.watches(pods).length > 1);
    expect(cluster.api.watches(pods).map(({ authorization }) => authorization)).toEqual([
      'Bearer first',
      'Bearer second',
    ]);
  });

  it('is asked again when credentials cannot be read now', async () => {
    let broken = true;
    const credentials = async () => {
      if (broken) throw new Error('/token cannot be read: ENOENT');
      return noCredentials;
    };
    cluster.follow({ access: { server: cluster.api.url, credentials } });
    await eventually(() => cluster.view.state().lastError === 'pods: /token cannot be read: ENOENT');
    broken = false;
    await cluster.synced();
  });

  it('is left when the view is disposed of, whatever goes on', async () => {
    cluster.follow();
    await cluster.synced();
    await cluster.view[Symbol.asyncDispose]();
    await eventually(() => cluster.api.watching(pods) === 0 && cluster.api.watching(nodes) === 0);
    const { length } = cluster.api.seen;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(cluster.api.seen).toHaveLength(length);
  });

  it('that never answers does not keep a view from being disposed of', async () => {
    cluster.api.intercept = () => true;
    cluster.follow();
    await eventually(() => cluster.api.seen.length > 0);
    await cluster.view[Symbol.asyncDispose]();
    expect(cluster.status).toBe('starting');
  });
});
