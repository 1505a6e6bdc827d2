export type { Enriched, Enrichment } from './enrichment.ts';
export type { KubernetesEnrichment } from './kubernetes/enrichment.ts';
export { inSlices } from './slices.ts';
export { staticAttributes, staticEnrichment } from './static.ts';
