import { describe, expect, it } from 'vitest';
import { PlainCluster, podOf } from '../../../test/kit/cluster-view.ts';
import { enrichedBy, requestOf, resourcesOf } from '../../../test/kit/enrich.ts';
import { systemClock } from '../../base/index.ts';
import { defaultLimits, walk } from '../../otlp/index.ts';
import { addedBytesMax, resourcesRememberedMax } from '../limits.ts';
import { kubernetesEnrichment } from './enrichment.ts';

const options = {
  labels: new Set<string>(),
  annotations: new Set<string>(),
  useServiceLabels: false,
  always: [],
  clusterName: undefined,
  waitMs: 0,
  clock: systemClock,
};

describe('a request of a thousand pods', () => {
  const pods = Array.from({ length: 1_000 }, (_, index) => ({ 'k8s.pod.uid': `uid-${index}` }));
  const large = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`label-${index}`, 'x'.repeat(4_000)]));
  const full = new PlainCluster();
  pods.forEach(({ 'k8s.pod.uid': uid }, index) => {
    full.put(podOf({ uid, name: `pod-${index}`, labels: large }));
  });
  const request = requestOf('logs', ...pods);

  it('has for each what the cluster knows of it', async () => {
    const { enrich } = kubernetesEnrichment(full, options);
    const { bytes, services } = await enrichedBy(enrich, 'logs', request);
    expect(resourcesOf('logs', bytes).map((pairs) => Object.fromEntries(pairs)['k8s.pod.name'])).toEqual(
      pods.map((_, index) => `pod-${index}`),
    );
    expect(services).toEqual(pods.map(() => 'cart'));
  });

  it('grows by a bounded number of bytes: the last of them go without', async () => {
    const enrichment = kubernetesEnrichment(full, { ...options, labels: 'all' });
    const { bytes } = await enrichedBy(enrichment.enrich, 'logs', request);
    const named = resourcesOf('logs', bytes).map((pairs) => pairs.length > 1);
    const first = named.indexOf(false);
    expect(named.slice(first)).toEqual(named.slice(first).map(() => false));
    expect(bytes.length - request.length).toBeGreaterThan(addedBytesMax - 50_000);
    expect(bytes.length - request.length).toBeLessThan(addedBytesMax + 50_000);
    expect(enrichment.counts()).toEqual({
      matched: [{ signal: 'logs', source: 'pod_uid', records: first }],
      missed: [{ signal: 'logs', reason: 'too_much', records: 1_000 - first }],
    });
  });
});

it('keeps what it made for a resource that comes again and again, however many others come once', () => {
  const cluster = new PlainCluster();
  cluster.put(podOf());
  const { enrich } = kubernetesEnrichment(cluster, options);
  const enriched = (attributes: Record<string, string>) => {
    const bytes = requestOf('logs', attributes);
    const { resources } = walk('logs', bytes, defaultLimits);
    const lacking = enrich({ signal: 'logs', bytes, resources, senderAddress: '' });
    if (lacking instanceof Promise) throw new Error('there is nothing to wait for');
    return lacking[0];
  };
  const often = { 'k8s.pod.uid': podOf().uid };
  const first = enriched(often);
  for (let n = 0; n < 2 * resourcesRememberedMax; n++) {
    enriched({ once: `${n}` });
    expect(enriched(often) === first).toBe(true);
  }
});
