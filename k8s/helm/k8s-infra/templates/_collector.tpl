{{/*
Configuration of a Collector (dict "base" BASE "values" PART "where" PATH "only" BOOL), as YAML; `only`: no pipelines but BASE's. BASE is the chart's, as a map; its
`service.pipelines` say receivers, exporters and connectors as {name: true} and processors as {name: place}, so that one can
be added or left out by its name: `PART.pipelines` is laid over them, then `PART.config` over the whole.
*/}}
{{- define "k8s-infra.collectorConfig" -}}
{{- if .values.configOverride -}}
{{- toYaml .values.configOverride -}}
{{- else -}}
{{- $config := .base -}}
{{- if hasKey $config "Error" }}{{ fail (printf "%s: %s" .where $config.Error) }}{{ end -}}
{{- $pipelines := $config.service.pipelines -}}
{{- $ours := dict -}}
{{- range $name, $pipeline := .values.pipelines -}}
{{- /* A pod that only scrapes has none of the gateway's. */ -}}
{{- if or (not $.only) (hasKey $pipelines $name) }}{{ $_ := set $ours $name $pipeline }}{{ end -}}
{{- end -}}
{{- include "k8s-infra.overlay" (dict "into" $pipelines "from" $ours) -}}
{{- if not $pipelines }}{{ fail (printf "%s: with everything off there is no pipeline: set %s.enabled to false" .where .where) }}{{ end -}}
{{- range $name, $pipeline := $pipelines -}}
{{- $lists := dict -}}
{{- range $kind := list "receivers" "exporters" -}}
{{- $names := list -}}
{{- range $component, $in := (get $pipeline $kind) }}{{ if $in }}{{ $names = append $names $component }}{{ end }}{{ end -}}
{{- if not $names }}{{ fail (printf "%s.pipelines.%s: no %s are left; leave the pipeline out with `%s: null`" $.where $name $kind $name) }}{{ end -}}
{{- $_ := set $lists $kind (sortAlpha $names) -}}
{{- end -}}
{{- $places := list -}}
{{- range $component, $place := $pipeline.processors -}}
{{- if not (or (kindIs "invalid" $place) (eq (toString $place) "false")) }}{{ $places = append $places (printf "%06d %s" (int $place) $component) }}{{ end -}}
{{- end -}}
{{- $processors := list -}}
{{- range sortAlpha $places }}{{ $processors = append $processors (regexReplaceAll "^[0-9]+ " . "") }}{{ end -}}
{{- if $processors }}{{ $_ := set $lists "processors" $processors }}{{ end -}}
{{- $_ := set $pipelines $name $lists -}}
{{- end -}}
{{- include "k8s-infra.overlay" (dict "into" $config "from" .values.config) -}}
{{- include "k8s-infra.checkComponents" (dict "config" .values.config "where" (printf "%s.config" .where)) -}}
{{- toYaml $config -}}
{{- end -}}
{{- end }}

{{/* Former names of components: with one of them a pipeline would have the component twice, under both names. */}}
{{- define "k8s-infra.checkComponents" -}}
{{- $renamed := dict
  "receivers" (dict "filelog" "file_log" "hostmetrics" "host_metrics" "kubeletstats" "kubelet_stats")
  "processors" (dict "k8sattributes" "k8s_attributes")
  "exporters" (dict "otlp" "otlp_grpc" "otlphttp" "otlp_http")
  "connectors" (dict "spanmetrics" "span_metrics" "servicegraph" "service_graph") -}}
{{- range $kind, $names := $renamed -}}
{{- range $component, $_ := (get $.config $kind | default dict) -}}
{{- $type := regexReplaceAll "/.*$" $component "" -}}
{{- if hasKey $names $type -}}
{{- fail (printf "%s.%s.%s: `%s` is called `%s` now" $.where $kind $component $type (get $names $type)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What a Collector tells of itself (dict "Values" PART "name" NAME). */}}
{{- define "k8s-infra.collectorService" -}}
telemetry:
  # Else its own metrics would be those of a service named after the distribution.
  resource: { attributes: [{ name: service.name, value: {{ .name }} }] }
  logs: { level: {{ .Values.logLevel | default "warn" }}, encoding: json }
  metrics:
    level: normal
    readers:
      - pull:
          exporter:
            prometheus: { host: 0.0.0.0, port: 8888, without_scope_info: true, without_type_suffix: true, without_units: true }
{{- end }}

{{/*
Exporter to the backend (dict "root" $ "queue" MAP). A headless Service, so that one collector's load goes to all of its pods.
What the backend cannot take is tried again for ever; what then no longer fits into the queue is refused, and the sender knows.
*/}}
{{- define "k8s-infra.toBackend" -}}
endpoint: dns:///watchingcat-backend-headless.{{ .root.Release.Namespace }}.svc.{{ .root.Values.global.clusterDomain }}:4317
balancer_name: round_robin
tls: { insecure: true }
compression: zstd
timeout: 30s
retry_on_failure: { enabled: true, initial_interval: 1s, max_interval: 30s, max_elapsed_time: 0s }
sending_queue: {{- toYaml .queue | nindent 2 }}
{{- end }}

{{/* Attributes of the cluster, where a sender has none. */}}
{{- define "k8s-infra.clusterAttributes" -}}
{{- with .Values.global.clusterName }}
- { key: cluster.name, value: {{ . | quote }}, action: insert }
- { key: k8s.cluster.name, value: {{ . | quote }}, action: insert }
{{- end }}
{{- with .Values.global.region }}
- { key: cloud.region, value: {{ . | quote }}, action: insert }
{{- end }}
{{- with .Values.global.environment }}
- { key: environment, value: {{ . | quote }}, action: insert }
- { key: deployment.environment.name, value: {{ . | quote }}, action: insert }
{{- end }}
{{- end }}
