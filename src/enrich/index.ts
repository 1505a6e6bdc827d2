export type { Enriched, Enrichment } from './enrichment.ts';
export {
  type KubernetesEnrichment,
  type KubernetesEnrichmentOptions,
  kubernetesEnrichment,
} from './kubernetes/enrichment.ts';
export { staticAttributes, staticEnrichment } from './static.ts';
