import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlainCluster, podOf } from '../../../test/kit/cluster-view.ts';
import { enrichedBy, requestOf, resourcesOf } from '../../../test/kit/enrich.ts';
import { heldBytesMax, heldRequestsMax, missesRememberedMax, missRememberedMs } from '../limits.ts';
import { addressKey, uidKey } from './associate.ts';
import { kubernetesEnrichment } from './enrichment.ts';
import { HoldBack } from './hold.ts';

const waitMs = 2_000;
const uid = podOf().uid;
let nowMs = 0;
const clock = { monotonicMs: () => nowMs };

beforeEach(() => {
  nowMs = 0;
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

async function pass(ms: number): Promise<void> {
  nowMs += ms;
  await vi.advanceTimersByTimeAsync(ms);
}

function held(cluster = new PlainCluster(), wait = waitMs) {
  const hold = new HoldBack(cluster, { waitMs: wait, clock });
  const gone: string[] = [];
  /** Waits; what has gone on is told by its name. */
  const start = (name: string, keys: readonly string[], sizeBytes = 100, sender = name) => {
    const waiting = hold.wait(keys, sizeBytes, sender);
    if (typeof waiting === 'string') return waiting;
    void waiting.then(() => gone.push(name));
    return 'waits';
  };
  return { cluster, hold, gone, start };
}

describe('a request that names a pod nobody knows yet', () => {
  it('goes on when its pod appears, by UID or address, and no other does', async () => {
    const { cluster, hold, gone, start } = held();
    expect(start('by uid', [uidKey(uid)])).toBe('waits');
    expect(start('by address', [addressKey('10.244.1.5')])).toBe('waits');
    expect(start('by what a static pod’s kubelet calls it', [uidKey('c0ffee')])).toBe('waits');
    expect(start('another', [uidKey('another')])).toBe('waits');
    expect(hold.stats).toEqual({ requests: 4, sizeBytes: 400, heldTotal: 4 });
    cluster.put(podOf({ annotations: { 'kubernetes.io/config.hash': 'c0ffee' } }), '10.244.1.5');
    await pass(0);
    expect(gone).toEqual(['by uid', 'by what a static pod’s kubelet calls it', 'by address']);
    expect(hold.stats).toEqual({ requests: 1, sizeBytes: 100, heldTotal: 4 });
  });

  it('waits for all of its pods', async () => {
    const { cluster, gone, start } = held();
    start('both', [uidKey(uid), uidKey('b'), uidKey(uid)]);
    cluster.put(podOf());
    await pass(0);
    expect(gone).toEqual([]);
    cluster.put(podOf({ uid: 'b' }));
    await pass(0);
    expect(gone).toEqual(['both']);
  });

  it('goes on after its time, each after its own', async () => {
    const { hold, gone, start } = held();
    start('first', [uidKey('a')]);
    await pass(1_500);
    start('second', [uidKey('b')]);
    await pass(500);
    expect(gone).toEqual(['first']);
    await pass(1_500);
    expect(gone).toEqual(['first', 'second']);
    expect(hold.stats).toEqual({ requests: 0, sizeBytes: 0, heldTotal: 2 });
  });

  it('does not wait again for a pod that did not come, until that is forgotten or the pod comes', async () => {
    const { cluster, start } = held();
    start('first', [uidKey(uid), addressKey('10.244.1.5')]);
    await pass(waitMs);
    expect(start('again', [uidKey(uid)])).toBe('waited_before');
    expect(start('with another', [uidKey(uid), uidKey('b')])).toBe('waits');
    await pass(missRememberedMs - 1);
    expect(start('again', [addressKey('10.244.1.5')])).toBe('waited_before');
    await pass(1);
    expect(start('after that', [addressKey('10.244.1.5')])).toBe('waits');
    await pass(waitMs);
    cluster.put(podOf(), '10.244.1.5');
    expect(start('the next pod at that address', [addressKey('10.244.1.5')])).toBe('waits');
  });

  it('does not wait for one pod after the other of a sender whose pods do not come', async () => {
    const { cluster, start } = held();
    const next = (name: string, sender = 'agent') => start(name, [uidKey(name)], 100, sender);
    for (const name of ['a', 'b', 'c']) {
      expect(next(name)).toBe('waits');
      await pass(waitMs);
    }
    expect(next('d')).toBe('sender_waited_before');
    expect(next('d', 'another agent')).toBe('waits');
    await pass(missRememberedMs);
    // One is tried now and then.
    expect(next('e')).toBe('waits');
    await pass(waitMs);
    expect(next('f')).toBe('sender_waited_before');
    await pass(missRememberedMs);
    expect(next(uid)).toBe('waits');
    cluster.put(podOf());
    for (const name of ['g', 'h', 'i']) {
      expect(next(name)).toBe('waits');
      await pass(waitMs);
    }
    expect(next('j')).toBe('sender_waited_before');
  });

  it('waits for the next pods of a sender of whose requests several waited in vain at the same time', async () => {
    const { start } = held();
    for (const name of ['a', 'b', 'c', 'd']) expect(start(name, [uidKey('gone')], 100, 'agent')).toBe('waits');
    await pass(waitMs);
    expect(start('next', [uidKey('next')], 100, 'agent')).toBe('waits');
    await pass(1);
    expect(start('beside it', [uidKey('other')], 100, 'agent')).toBe('waits');
    await pass(waitMs - 1);
    expect(start('third', [uidKey('third')], 100, 'agent')).toBe('waits');
    await pass(waitMs);
    expect(start('late', [uidKey('late')], 100, 'agent')).toBe('sender_waited_before');
  });

  it('takes a bounded number of requests, however small', async () => {
    const { start } = held();
    for (let n = 0; n < heldRequestsMax; n++) expect(start(`${n}`, [uidKey('a')], 1)).toBe('waits');
    expect(start('one too many', [uidKey('b')], 1)).toBe('no_room');
    await pass(waitMs);
    expect(start('room again', [uidKey('b')], 1, 'another')).toBe('waits');
  });

  it('finds room by its bytes, and takes nobody else’s', async () => {
    const { gone, start } = held();
    expect(start('large', [uidKey('a')], heldBytesMax - 10)).toBe('waits');
    expect(start('no room', [uidKey('b')], 11)).toBe('no_room');
    expect(start('small', [uidKey('b')], 10)).toBe('waits');
    await pass(waitMs);
    expect(gone).toEqual(['large', 'small']);
    expect(start('room again', [uidKey('c')], heldBytesMax)).toBe('waits');
  });

  it('remembers a bounded number of pods that did not come: the oldest is forgotten', async () => {
    const { start } = held();
    start('oldest', [uidKey('oldest')]);
    await pass(1);
    start(
      'many',
      Array.from({ length: missesRememberedMax }, (_, index) => uidKey(`${index}`)),
    );
    await pass(waitMs);
    expect(start('oldest', [uidKey('oldest')])).toBe('waits');
    expect(start('many', [uidKey('0')])).toBe('waited_before');
  });

  it.each([
    ['stale', undefined, 'no_view'],
    ['denied', undefined, 'no_view'],
    ['starting', 'connection refused', 'no_view'],
    ['starting', undefined, 'waits'],
    ['synced', 'an error of the past', 'waits'],
  ] as const)('%s, last error %s: %s', (status, lastError, outcome) => {
    const { cluster, start } = held();
    cluster.status = status;
    cluster.lastError = lastError;
    expect(start('one', [uidKey(uid)])).toBe(outcome);
  });

  it('does not wait where waiting is off', () => {
    expect(held(new PlainCluster(), 0).start('one', [uidKey(uid)])).toBe('off');
  });

  it('goes on at once when the process stops, and nothing waits after that', async () => {
    const { hold, gone, start } = held();
    start('one', [uidKey('a')]);
    start('two', [uidKey('b')]);
    hold.stop();
    await pass(0);
    expect(gone).toEqual(['one', 'two']);
    expect(start('late', [uidKey('c')])).toBe('stopping');
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('while the first list is under way', () => {
  it('goes on when the list has come and the address turns out to be no pod’s', async () => {
    const { cluster, gone, start } = held();
    cluster.status = 'starting';
    start('of a pod', [addressKey('10.244.1.5')]);
    start('from outside', [addressKey('192.0.2.1')]);
    await pass(500);
    expect(gone).toEqual([]);
    cluster.status = 'synced';
    await pass(100);
    expect(gone).toEqual(['from outside']);
  });

  it('goes on when the list fails', async () => {
    const { cluster, gone, start } = held();
    cluster.status = 'starting';
    start('one', [uidKey('a')]);
    await pass(100);
    cluster.lastError = 'connection refused';
    await pass(100);
    expect(gone).toEqual(['one']);
  });
});

describe('enrichment with a hold-back', () => {
  const options = {
    labels: new Set<string>(),
    annotations: new Set<string>(),
    useServiceLabels: false,
    always: [['cluster.name', 'c'] as const],
    clusterName: undefined,
    waitMs,
    clock,
  };
  const keysIn = (bytes: Uint8Array) => resourcesOf('logs', bytes).map((pairs) => pairs.map(([key]) => key));

  it('has the attributes of a pod that appears in time', async () => {
    const cluster = new PlainCluster();
    const { enrich } = kubernetesEnrichment(cluster, options);
    const log = enrichedBy(enrich, 'logs', requestOf('logs', {}), '10.244.1.5');
    await pass(1_000);
    cluster.put(podOf(), '10.244.1.5');
    const { bytes, services } = await log;
    expect(services).toEqual(['cart']);
    expect(keysIn(bytes)[0]).toEqual(expect.arrayContaining(['k8s.deployment.name', 'cluster.name']));
  });

  it('goes on without them otherwise, with no attribute that says so, and counts it', async () => {
    const cluster = new PlainCluster();
    const enrichment = kubernetesEnrichment(cluster, options);
    cluster.put(podOf(), '10.244.1.5');
    const request = requestOf('logs', { 'k8s.pod.uid': 'x' }, { 'k8s.pod.uid': uid });
    const log = enrichedBy(enrichment.enrich, 'logs', request);
    await pass(waitMs);
    const [unknown, known] = keysIn((await log).bytes);
    expect(unknown).toEqual(['k8s.pod.uid', 'cluster.name']);
    expect(known).toContain('k8s.deployment.name');
    expect(enrichment.counts()).toEqual({
      matched: [{ signal: 'logs', source: 'pod_uid', records: 1 }],
      missed: [{ signal: 'logs', reason: 'waited', records: 1 }],
    });
    expect(enrichment.held()).toEqual({ requests: 0, sizeBytes: 0, heldTotal: 1 });
  });

  it.each([
    ['from outside of the cluster', {}, '192.0.2.1'],
    ['with a node’s address', { 'k8s.pod.ip': '192.0.2.1' }, ''],
    ['about something else in the cluster', { 'k8s.deployment.name': 'd' }, '10.244.1.5'],
    ['of this process', {}, ''],
  ])('what comes %s does not wait', async (_, attributes, sender) => {
    const enrichment = kubernetesEnrichment(new PlainCluster(), options);
    const { bytes } = await enrichedBy(enrichment.enrich, 'logs', requestOf('logs', attributes), sender);
    expect(keysIn(bytes)).toEqual([[...Object.keys(attributes), 'cluster.name']]);
    expect(enrichment.held().heldTotal).toBe(0);
    expect(enrichment.counts().missed).toEqual([]);
  });

  it('no request waits for another one’s pod', async () => {
    const cluster = new PlainCluster();
    cluster.put(podOf(), '10.244.1.5');
    const enrichment = kubernetesEnrichment(cluster, options);
    const { enrich } = enrichment;
    const waiting = enrichedBy(enrich, 'logs', requestOf('logs', {}), '10.244.9.9');
    expect(keysIn((await enrichedBy(enrich, 'logs', requestOf('logs', {}), '10.244.1.5')).bytes)[0]).toContain(
      'k8s.pod.uid',
    );
    enrichment.stop();
    expect(keysIn((await waiting).bytes)).toEqual([['cluster.name']]);
  });
});
