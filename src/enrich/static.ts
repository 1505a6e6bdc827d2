import { encodeResourceAttribute, type ResourceAt, resourceHas } from '../otlp/index.ts';

/** Pre-encoded `Resource.attributes` fields that one resource lacks. */
export type Enrichment = (bytes: Uint8Array, resource: ResourceAt) => readonly Uint8Array[];

export interface StaticAttributes {
  readonly clusterName: string | undefined;
  readonly cloudRegion: string | undefined;
  readonly environment: string | undefined;
}

/**
 * Adds the configured attributes to each resource whose sender did not set them: the promised names and, beside them,
 * the spellings of the semantic conventions. A sender's own attribute is never overwritten.
 * @returns undefined where nothing is configured, so that the hot path has nothing to do.
 */
export function staticEnrichment(attributes: StaticAttributes): Enrichment | undefined {
  const wanted: [string, string | undefined][] = [
    ['cluster.name', attributes.clusterName],
    ['k8s.cluster.name', attributes.clusterName],
    ['cloud.region', attributes.cloudRegion],
    ['environment', attributes.environment],
    ['deployment.environment.name', attributes.environment],
  ];
  // Encoded once, not per request.
  const additions = wanted.flatMap(([key, value]) =>
    value === undefined ? [] : [{ key: new TextEncoder().encode(key), field: encodeResourceAttribute(key, value) }],
  );
  if (additions.length === 0) return undefined;
  return (bytes, resource) => additions.flatMap(({ key, field }) => (resourceHas(bytes, resource, key) ? [] : [field]));
}
