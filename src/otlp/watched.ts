// What those who watch a cluster tell of the things in it. Nobody sent it about himself: it makes no service, whatever
// `service.name` the resource has.

/** Of a resource that is the object of a Kubernetes event. Source: the Collector's k8s_events receiver. */
export const eventObjectAttribute = 'k8s.object.kind';

/** How metrics begin that measure others. Source: OpenTelemetry semantic conventions, "Kubernetes metrics", "Container metrics". */
export const watchedMetricPrefixes = ['k8s.', 'container.'] as const;
