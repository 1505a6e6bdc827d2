import { type Clock, Fault } from './base/index.ts';
import type { Config } from './config/index.ts';
import { type Enrichment, type KubernetesEnrichment, staticAttributes, staticEnrichment } from './enrich/index.ts';
import type { MetricSource } from './self/index.ts';

/** Late records come from pods that are gone already. */
const keepDeletedSeconds = 120;

export interface StartedEnrichment extends AsyncDisposable {
  /** undefined: nothing is added to anything. */
  readonly enrich: Enrichment | undefined;
  /** undefined: no cluster is asked. */
  readonly kubernetes: KubernetesEnrichment | undefined;
}

/**
 * What is added to resources. The cluster is asked from here on; nothing waits for its answer.
 * @throws Fault where the kubeconfig cannot be used.
 */
export async function startEnrichment(
  config: Config,
  parts: {
    readonly clock: Clock;
    readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  },
): Promise<StartedEnrichment> {
  const { clock, logger } = parts;
  const { kubernetes: wanted } = config;
  if (wanted === undefined) {
    return { enrich: staticEnrichment(config), kubernetes: undefined, [Symbol.asyncDispose]: async () => {} };
  }
  const { inClusterAccess, kubeconfigAccess, kubernetesEnrichment, watchCluster } = await import(
    './enrich/kubernetes/index.ts'
  );
  const found = wanted.access === 'in-cluster' ? inClusterAccess(process.env) : await kubeconfigAccess(wanted.access);
  if (found.kind === 'problem') throw new Fault('malformed', `WATCHINGCAT_K8S_ENRICHMENT: ${found.message}`);
  const { labels, annotations } = wanted;
  const view = watchCluster({
    access: found.access,
    labels,
    annotations,
    keepDeletedSeconds,
    clock,
    onTrouble: (resource, trouble) => {
      if (trouble === undefined) logger.info({ resource }, 'the Kubernetes API tells of these again');
      else {
        logger.warn(
          { resource, kind: trouble.kind, reason: trouble.message },
          'the Kubernetes API does not tell of these: telemetry is taken, with the attributes that are known',
        );
      }
    },
  });
  const kubernetes = kubernetesEnrichment(view, {
    labels: labels === 'all' ? 'all' : new Set(labels),
    annotations: annotations === 'all' ? 'all' : new Set(annotations),
    useServiceLabels: wanted.serviceLabels,
    always: staticAttributes(config),
    clusterName: config.clusterName,
    waitMs: wanted.waitMs,
    clock,
  });
  return {
    enrich: kubernetes.enrich,
    kubernetes,
    async [Symbol.asyncDispose]() {
      kubernetes.stop();
      await view[Symbol.asyncDispose]();
    },
  };
}

/** For `OwnMetrics.register`. */
export function enrichmentMetrics(kubernetes: KubernetesEnrichment): MetricSource {
  return function* () {
    const { matched, missed } = kubernetes.counts();
    yield [
      'watchingcat_enrichment_matched_total',
      matched.map(({ signal, source, records }) => ({ labels: { signal, source }, value: records })),
    ];
    yield [
      'watchingcat_enrichment_missed_total',
      missed.map(({ signal, reason, records }) => ({ labels: { signal, reason }, value: records })),
    ];
    const { requests, sizeBytes, heldTotal } = kubernetes.held();
    yield ['watchingcat_enrichment_held_requests', [{ labels: {}, value: requests }]];
    yield ['watchingcat_enrichment_held_bytes', [{ labels: {}, value: sizeBytes }]];
    yield ['watchingcat_enrichment_held_total', [{ labels: {}, value: heldTotal }]];
    const { status, pods, ageSeconds, relists } = kubernetes.state();
    yield ['watchingcat_enrichment_synced', [{ labels: {}, value: status === 'synced' ? 1 : 0 }]];
    yield ['watchingcat_enrichment_pods', [{ labels: {}, value: pods }]];
    yield ['watchingcat_enrichment_age_seconds', [{ labels: {}, value: ageSeconds }]];
    yield ['watchingcat_enrichment_relists_total', [{ labels: {}, value: relists }]];
    yield [
      'watchingcat_kubernetes_node_unschedulable',
      kubernetes
        .nodes()
        .map(({ name, isUnschedulable }) => ({ labels: { node: name }, value: isUnschedulable ? 1 : 0 })),
    ];
  };
}
