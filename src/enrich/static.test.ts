import { expect, it } from 'vitest';
import { decodeOtlp, encodeOtlp } from '../../test/kit/otlp.ts';
import { defaultLimits, spliceResources, walk } from '../otlp/index.ts';
import { staticEnrichment } from './static.ts';

/** Attributes of each resource after enrichment, as `key=value`. */
function enriched(
  configured: { clusterName?: string; cloudRegion?: string; environment?: string },
  ...resources: Record<string, string>[]
) {
  const bytes = encodeOtlp('traces', {
    resourceSpans: resources.map((attributes) => ({
      resource: {
        attributes: Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } })),
      },
      scopeSpans: [{ spans: [{ traceId: new Uint8Array(16).fill(1), spanId: new Uint8Array(8).fill(1) }] }],
    })),
  });
  const enrich = staticEnrichment({
    clusterName: undefined,
    cloudRegion: undefined,
    environment: undefined,
    ...configured,
  });
  if (enrich === undefined) return undefined;
  const walked = walk('traces', bytes, defaultLimits);
  const lacking = enrich({ signal: 'traces', bytes, resources: walked.resources, senderAddress: '' });
  if (lacking instanceof Promise) throw new Error('there is nothing to wait for');
  const pieces = spliceResources(bytes, walked, (_, index) => lacking[index]?.fields ?? []);
  const decoded = decodeOtlp('traces', Buffer.concat(pieces)) as {
    resourceSpans: { resource: { attributes: { key: string; value: { stringValue: string } }[] } }[];
  };
  return decoded.resourceSpans.map(({ resource }) =>
    resource.attributes.map(({ key, value }) => `${key}=${value.stringValue}`),
  );
}

it('adds what is configured under the promised names and those of the semantic conventions', () => {
  expect(enriched({ clusterName: 'c', cloudRegion: 'r', environment: 'e' }, { a: '1' }, {})).toEqual([
    ['a=1', 'cluster.name=c', 'k8s.cluster.name=c', 'cloud.region=r', 'environment=e', 'deployment.environment.name=e'],
    ['cluster.name=c', 'k8s.cluster.name=c', 'cloud.region=r', 'environment=e', 'deployment.environment.name=e'],
  ]);
});

it("never overwrites a sender's own attribute, key by key", () => {
  expect(enriched({ clusterName: 'c', environment: 'e' }, { 'k8s.cluster.name': 'mine', environment: '' })).toEqual([
    ['k8s.cluster.name=mine', 'environment=', 'cluster.name=c', 'deployment.environment.name=e'],
  ]);
});

it('does nothing at all where nothing is configured', () => {
  expect(enriched({})).toBeUndefined();
});
