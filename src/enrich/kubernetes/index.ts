export { inClusterAccess, kubeconfigAccess } from './access.ts';
export { kubernetesEnrichment } from './enrichment.ts';
export { watchCluster } from './watch-cluster.ts';
