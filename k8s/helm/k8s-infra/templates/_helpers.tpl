{{/* Names and labels. Objects have the names that documents and dashboards use, whatever the release is called. */}}

{{/* labels (dict "root" $ "name" NAME) */}}
{{- define "k8s-infra.labels" -}}
{{ include "k8s-infra.podLabels" . }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* Labels of pods (dict "root" $ "name" NAME): with the chart's version among them each version would start all pods anew. */}}
{{- define "k8s-infra.podLabels" -}}
{{ include "k8s-infra.selector" . }}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: watchingcat
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{/* What selects an object's pods: never changes, as a selector cannot be changed. */}}
{{- define "k8s-infra.selector" -}}
app: {{ .name }}
{{- end }}

{{/* Head of an object (dict "root" $ "name" NAME "as" OBJECT-NAME); `as` where it is not NAME. */}}
{{- define "k8s-infra.metadata" -}}
name: {{ .as | default .name }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "k8s-infra.labels" . | nindent 2 }}
{{- end }}

{{/* Name of a cluster-wide object: a cluster may hold this chart in several namespaces. */}}
{{- define "k8s-infra.clusterName" -}}
{{ .name }}-{{ .root.Release.Namespace }}
{{- end }}

{{/* Image (dict "root" $ "image" IMAGE) */}}
{{- define "k8s-infra.image" -}}
{{- $registry := .root.Values.global.imageRegistry | default .image.registry -}}
{{- $path := ternary .image.repository (printf "%s/%s" $registry .image.repository) (eq $registry "") -}}
{{ $path }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* ServiceAccount of a part (dict "values" PART "name" NAME) */}}
{{- define "k8s-infra.serviceAccount" -}}
{{ .values.serviceAccount.name | default .name }}
{{- end }}

{{/* What a part's pods request and may use (dict "root" $ "part" KEY "values" PART), as YAML: what the size says, and what the part adds. */}}
{{- define "k8s-infra.resources" -}}
{{- $resources := deepCopy (get (get .root.Values.sizes .root.Values.size) .part | default dict) -}}
{{- include "k8s-infra.overlay" (dict "into" $resources "from" .values.resources) -}}
{{- toYaml $resources -}}
{{- end }}

{{/* A quantity of memory in whole MiB: 512Mi, 1Gi, 1.5Gi, 2G, 1000000. Empty: empty. */}}
{{- define "k8s-infra.mebibytes" -}}
{{- $quantity := toString (default "" .) -}}
{{- if $quantity -}}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "K" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "" 1 -}}
{{- $number := regexFind "^[0-9.]+(e[0-9]+)?" $quantity -}}
{{- $unit := trimPrefix $number $quantity -}}
{{- if not (hasKey $units $unit) }}{{ fail (printf "%s is no quantity of memory, such as 512Mi or 2Gi" $quantity) }}{{ end -}}
{{- div (mulf (float64 $number) (get $units $unit) | int64) 1048576 -}}
{{- end -}}
{{- end }}

{{/* A share of a container's memory limit in MiB (dict "root" $ "part" KEY "values" PART "percent" N); empty without a limit. */}}
{{- define "k8s-infra.memoryShare" -}}
{{- $limit := dig "limits" "memory" "" (include "k8s-infra.resources" . | fromYaml) -}}
{{- if $limit -}}
{{- div (mul (include "k8s-infra.mebibytes" $limit | int64) (.percent | int64)) 100 -}}
{{- end -}}
{{- end }}

{{/* Memory limit of a Go program, as an environment variable: 80 % of the container's (dict "root" $ "part" KEY "values" PART). */}}
{{- define "k8s-infra.goMemoryLimit" -}}
{{- with include "k8s-infra.memoryShare" (merge (dict "percent" 80) .) }}
- { name: GOMEMLIMIT, value: {{ . }}MiB }
{{- end }}
{{- end }}

{{/* Which parts are installed: "true" or "". */}}
{{- define "k8s-infra.hasAgent" -}}{{ if .Values.otelAgent.enabled }}true{{ end }}{{- end }}
{{- define "k8s-infra.hasDeployment" -}}{{ if .Values.otelDeployment.enabled }}true{{ end }}{{- end }}
{{- define "k8s-infra.hasJaeger" -}}{{ if eq (include "k8s-infra.stores" . | fromYaml).jaeger.mode "bundled" }}true{{ end }}{{- end }}
{{- define "k8s-infra.hasPrometheus" -}}{{ if eq (include "k8s-infra.stores" . | fromYaml).prometheus.mode "bundled" }}true{{ end }}{{- end }}
{{- define "k8s-infra.hasElasticsearch" -}}{{ if eq (include "k8s-infra.stores" . | fromYaml).elasticsearch.mode "bundled" }}true{{ end }}{{- end }}
{{- define "k8s-infra.hasGrafana" -}}{{ if and (eq .Values.profile "full") .Values.grafana.enabled (eq .Values.grafana.mode "bundled") }}true{{ end }}{{- end }}

{{/* URL of a Service of the chart (dict "root" $ "name" NAME "port" PORT) */}}
{{- define "k8s-infra.url" -}}
http://{{ .name }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.global.clusterDomain }}:{{ .port }}
{{- end }}

{{/*
Stores that the backend writes to and reads from, as YAML: jaeger, prometheus, elasticsearch, each {mode: bundled, external or
none, …}; `embedded` lists the signals that it keeps itself. One place decides: backend, Jaeger, Grafana, NOTES ask here.
*/}}
{{- define "k8s-infra.stores" -}}
{{- $embedded := list -}}
{{- $full := eq .Values.profile "full" -}}
{{- with .Values.storage.jaeger }}
jaeger:
{{- if and $full .enabled (eq .mode "bundled") }}
  mode: bundled
  otlpEndpoint: {{ include "k8s-infra.url" (dict "root" $ "name" "jaeger" "port" 4317) }}
  queryEndpoint: {{ include "k8s-infra.url" (dict "root" $ "name" "jaeger" "port" 16686) }}
{{- else if and $full .enabled }}
  mode: external
  otlpEndpoint: {{ required "storage.jaeger.external.otlpEndpoint: needed with storage.jaeger.mode=external, such as http://jaeger.tracing:4317" .external.otlpEndpoint | quote }}
  queryEndpoint: {{ .external.queryEndpoint | default (regexReplaceAll "^(https?://[^/]+?)(:[0-9]+)?/?$" .external.otlpEndpoint "${1}:16686") | quote }}
{{- else }}
  mode: none
{{- $embedded = append $embedded "traces" }}
{{- end }}
{{- end }}
{{- with .Values.storage.prometheus }}
prometheus:
{{- if and $full .enabled (eq .mode "bundled") }}
  mode: bundled
  remoteWriteUrl: {{ include "k8s-infra.url" (dict "root" $ "name" "prometheus" "port" 9090) }}/api/v1/write
  queryUrl: {{ include "k8s-infra.url" (dict "root" $ "name" "prometheus" "port" 9090) }}
{{- else if and $full .enabled }}
  mode: external
  remoteWriteUrl: {{ required "storage.prometheus.external.remoteWriteUrl: needed with storage.prometheus.mode=external, such as http://prometheus.monitoring:9090/api/v1/write" .external.remoteWriteUrl | quote }}
  queryUrl: {{ .external.queryUrl | default (ternary (trimSuffix "/api/v1/write" .external.remoteWriteUrl) "off" (hasSuffix "/api/v1/write" .external.remoteWriteUrl)) | quote }}
{{- else }}
  mode: none
{{- $embedded = append $embedded "metrics" }}
{{- end }}
{{- end }}
{{- with .Values.storage.elasticsearch }}
elasticsearch:
{{- if and $full .enabled (eq .mode "bundled") }}
  mode: bundled
  url: {{ include "k8s-infra.url" (dict "root" $ "name" "elasticsearch" "port" 9200) }}
{{- else if and $full .enabled }}
  mode: external
  url: {{ required "storage.elasticsearch.external.url: needed with storage.elasticsearch.mode=external, such as https://elasticsearch.logging:9200" .external.url | quote }}
{{- else }}
  mode: none
{{- $embedded = append $embedded "logs" }}
{{- end }}
{{- end }}
embedded: {{ toJson $embedded }}
{{- end }}

{{/* Number of the backend's pods: one where it keeps a signal itself. */}}
{{- define "k8s-infra.backendReplicas" -}}
{{- $stores := include "k8s-infra.stores" . | fromYaml -}}
{{ ternary 1 (int .Values.backend.replicas) (gt (len $stores.embedded) 0) }}
{{- end }}

{{/* Whether a pod that stops hands over to another. */}}
{{- define "k8s-infra.hasPeers" -}}
{{- $stores := include "k8s-infra.stores" . | fromYaml -}}
{{ if and .Values.backend.peers.enabled (eq (len $stores.embedded) 0) }}true{{ end }}
{{- end }}

{{/* Whether a scaler decides on the number of the backend's pods. */}}
{{- define "k8s-infra.backendIsScaled" -}}
{{- $stores := include "k8s-infra.stores" . | fromYaml -}}
{{ if and .Values.backend.autoscaling.enabled (eq (len $stores.embedded) 0) }}true{{ end }}
{{- end }}

{{/* Whether the agent's pod needs what `restricted` pods may not have: files of the node. */}}
{{- define "k8s-infra.agentReadsLogs" -}}
{{ if and .Values.otelAgent.logs.enabled .Values.otelAgent.logs.containers.enabled }}true{{ end }}
{{- end }}
{{- define "k8s-infra.agentReadsHost" -}}
{{ if and .Values.otelAgent.metrics.enabled .Values.otelAgent.metrics.hostMetrics.enabled }}true{{ end }}
{{- end }}
{{- define "k8s-infra.agentHostPorts" -}}
{{- $wish := toString .Values.otelAgent.hostPorts.enabled -}}
{{ if or (eq $wish "true") (and (eq $wish "auto") (or (include "k8s-infra.agentReadsLogs" .) (include "k8s-infra.agentReadsHost" .))) }}true{{ end }}
{{- end }}

{{/* Whether annotated pods are scraped: either spelling; the right one counts. */}}
{{- define "k8s-infra.scrapes" -}}
{{- $right := .Values.otelDeployment.prometheusScraping.enabled -}}
{{ if ternary .Values.otelDeployment.prometheusScaping.enabled $right (kindIs "invalid" $right) }}true{{ end }}
{{- end }}

{{/* A claim (dict "root" $ "name" NAME "persistence" PERSISTENCE). It stays when the release goes: data are deleted by hand. */}}
{{- define "k8s-infra.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "k8s-infra.metadata" (dict "root" .root "name" .name "as" (printf "%s-data" .name)) | nindent 2 }}
  annotations: { helm.sh/resource-policy: keep }
spec: {{- include "k8s-infra.claimSpec" . | nindent 2 }}
{{- end }}
{{- define "k8s-infra.claimSpec" -}}
accessModes: [ReadWriteOnce]
{{- with .persistence.storageClass | default .root.Values.global.storageClass }}
storageClassName: {{ . | quote }}
{{- end }}
resources: { requests: { storage: {{ .persistence.size }} } }
{{- end }}

{{/* Volume of a store's data (dict "name" NAME "persistence" PERSISTENCE) */}}
{{- define "k8s-infra.dataVolume" -}}
{{- if .persistence.enabled -}}
{ name: data, persistentVolumeClaim: { claimName: {{ .persistence.existingClaim | default (printf "%s-data" .name) }} } }
{{- else -}}
{ name: data, emptyDir: {} }
{{- end -}}
{{- end }}

{{/* A value that is made once and kept: from the Secret where it is there already (dict "root" $ "secret" NAME "key" KEY), base64. */}}
{{- define "k8s-infra.keptSecret" -}}
{{- $old := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- dig "data" .key "" ($old | default dict) | default (randAlphaNum 40 | b64enc) -}}
{{- end }}

{{/* PodDisruptionBudget (dict "root" $ "name" NAME "pdb" PDB) */}}
{{- define "k8s-infra.pdb" -}}
apiVersion: {{ ternary "policy/v1" "policy/v1beta1" (semverCompare ">=1.21-0" .root.Capabilities.KubeVersion.Version) }}
kind: PodDisruptionBudget
metadata: {{- include "k8s-infra.metadata" . | nindent 2 }}
spec:
  selector: { matchLabels: { app: {{ .name }} } }
  maxUnavailable: {{ .pdb.maxUnavailable }}
{{- end }}
