import { encodeResourceAttribute, resourceHas } from '../otlp/index.ts';
import type { Enriched, Enrichment } from './enrichment.ts';
import { inSlices } from './slices.ts';

export interface StaticAttributes {
  readonly clusterName: string | undefined;
  readonly cloudRegion: string | undefined;
  readonly environment: string | undefined;
}

/** The configured attributes by key: the promised names and, beside them, the spellings of the semantic conventions. */
export function staticAttributes(attributes: StaticAttributes): readonly (readonly [key: string, value: string])[] {
  const wanted: [string, string | undefined][] = [
    ['cluster.name', attributes.clusterName],
    ['k8s.cluster.name', attributes.clusterName],
    ['cloud.region', attributes.cloudRegion],
    ['environment', attributes.environment],
    ['deployment.environment.name', attributes.environment],
  ];
  return wanted.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
}

/**
 * Adds the configured attributes to each resource whose sender did not set them. A sender's own attribute is never
 * overwritten.
 * @returns undefined where nothing is configured, so that the hot path has nothing to do.
 */
export function staticEnrichment(attributes: StaticAttributes): Enrichment | undefined {
  // Encoded once, not per request.
  const additions = staticAttributes(attributes).map(([key, value]) => ({
    key: new TextEncoder().encode(key),
    field: encodeResourceAttribute(key, value),
  }));
  if (additions.length === 0) return undefined;
  return ({ bytes, resources }) => {
    const enriched: Enriched[] = [];
    const done = inSlices(resources.length, (from, to) => {
      for (const resource of resources.slice(from, to)) {
        const fields = additions.flatMap(({ key, field }) => (resourceHas(bytes, resource, key) ? [] : [field]));
        enriched.push({ fields, serviceName: undefined });
      }
    });
    return done === undefined ? enriched : done.then(() => enriched);
  };
}
