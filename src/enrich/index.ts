export type { Enriched, Enrichment } from './enrichment.ts';
export { inClusterAccess, kubeconfigAccess } from './kubernetes/access.ts';
export { type KubernetesEnrichment, kubernetesEnrichment } from './kubernetes/enrichment.ts';
export { watchCluster } from './kubernetes/watch-cluster.ts';
export { inSlices } from './slices.ts';
export { staticAttributes, staticEnrichment } from './static.ts';
