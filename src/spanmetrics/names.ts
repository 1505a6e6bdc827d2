// Names that queries and dashboards rely on: as Tempo and Grafana expect them, with the labels of the Collector's
// span_metrics connector. As OTLP has them, and as they are in Prometheus.

export const callsMetric = { otlp: 'traces.spanmetrics.calls', prometheus: 'traces_spanmetrics_calls_total' } as const;
export const durationMetric = {
  otlp: 'traces.spanmetrics.duration',
  prometheus: 'traces_spanmetrics_duration_seconds',
} as const;

/** Attribute → label. */
export const labels = {
  service: { otlp: 'service.name', prometheus: 'service_name' },
  namespace: { otlp: 'service.namespace', prometheus: 'service_namespace' },
  environment: { otlp: 'deployment.environment.name', prometheus: 'deployment_environment_name' },
  name: { otlp: 'span.name', prometheus: 'span_name' },
  kind: { otlp: 'span.kind', prometheus: 'span_kind' },
  status: { otlp: 'status.code', prometheus: 'status_code' },
  overflow: { otlp: 'otel.metric.overflow', prometheus: 'otel_metric_overflow' },
  /** Which process counted: several write to one Prometheus, each its own series. */
  replica: { otlp: 'replica', prometheus: 'replica' },
} as const;

/** By OTLP's numbers. */
export const kinds = [
  'SPAN_KIND_UNSPECIFIED',
  'SPAN_KIND_INTERNAL',
  'SPAN_KIND_SERVER',
  'SPAN_KIND_CLIENT',
  'SPAN_KIND_PRODUCER',
  'SPAN_KIND_CONSUMER',
] as const;
export const statuses = ['STATUS_CODE_UNSET', 'STATUS_CODE_OK', 'STATUS_CODE_ERROR'] as const;
