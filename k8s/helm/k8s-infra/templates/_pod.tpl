{{/*
Pod template of every workload: one place where each option of `pods` in values.yaml, and each security setting, is honoured.

  include "k8s-infra.pod" (dict "root" $ "name" NAME "part" KEY-IN-SIZES "values" PART "pod" POD)

POD is what the part itself says, as a map: `container` (the main container, without image), `volumes`, `initContainers`,
`annotations`, `podSecurityContext`, `serviceAccountName`, `token` (true: mounts the ServiceAccount's token),
`terminationGracePeriodSeconds`, and whatever else a pod's spec may have under `spec`.
*/}}
{{- define "k8s-infra.pod" -}}
{{- $root := .root -}}
{{- $pod := .pod -}}
{{- if hasKey $pod "Error" }}{{ fail (printf "%s: %s" .name $pod.Error) }}{{ end -}}
{{- $set := include "k8s-infra.options" (dict "all" $root.Values.pods "part" .values) | fromYaml -}}
{{- $main := deepCopy $pod.container -}}
{{- $_ := set $main "name" .name -}}
{{- $_ := set $main "image" (include "k8s-infra.image" (dict "root" $root "image" (.image | default .values.image))) -}}
{{- $_ := set $main "imagePullPolicy" $root.Values.global.imagePullPolicy -}}
{{- $_ := set $main "resources" (include "k8s-infra.resources" . | fromYaml) -}}
{{- $_ := set $main "args" (concat ($main.args | default list) $set.extraArgs) -}}
{{- $_ := set $main "env" (concat ($main.env | default list) $set.extraEnv) -}}
{{- $_ := set $main "envFrom" (concat ($main.envFrom | default list) $set.extraEnvFrom) -}}
{{- $_ := set $main "volumeMounts" (concat ($main.volumeMounts | default list) $set.extraVolumeMounts) -}}
{{- $hooks := merge (deepCopy $set.lifecycle) ($main.lifecycle | default dict) -}}
{{- if $hooks }}{{ $_ := set $main "lifecycle" $hooks }}{{ end -}}
{{- range $probe := list "livenessProbe" "readinessProbe" "startupProbe" -}}
{{- $probed := deepCopy (get $main $probe | default dict) -}}
{{- include "k8s-infra.overlay" (dict "into" $probed "from" (get $set $probe)) -}}
{{- if $probed }}{{ $_ := set $main $probe $probed }}{{ end -}}
{{- end -}}
{{- $restricted := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{- include "k8s-infra.overlay" (dict "into" $restricted "from" ($main.securityContext | default dict)) -}}
{{- include "k8s-infra.overlay" (dict "into" $restricted "from" $set.securityContext) -}}
{{- $_ := set $main "securityContext" $restricted -}}
{{- range $key := list "args" "env" "envFrom" "volumeMounts" -}}
{{- if not (get $main $key) }}{{ $_ := unset $main $key }}{{ end -}}
{{- end -}}
{{- $person := dict "runAsNonRoot" true "runAsUser" 1000 "fsGroup" 1000 "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- $spec := dict "enableServiceLinks" false "automountServiceAccountToken" ($pod.token | default false) -}}
{{- include "k8s-infra.overlay" (dict "into" $person "from" ($pod.podSecurityContext | default dict)) -}}
{{- include "k8s-infra.overlay" (dict "into" $person "from" $set.podSecurityContext) -}}
{{- $_ := set $spec "securityContext" $person -}}
{{- $_ := set $spec "containers" (prepend $set.extraContainers $main) -}}
{{- $_ := set $spec "initContainers" (concat ($pod.initContainers | default list) $set.extraInitContainers) -}}
{{- $_ := set $spec "volumes" (concat ($pod.volumes | default list) $set.extraVolumes) -}}
{{- $_ := set $spec "serviceAccountName" ($pod.serviceAccountName | default "") -}}
{{- $_ := set $spec "imagePullSecrets" $root.Values.global.imagePullSecrets -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" "hostAliases" "dnsConfig" -}}
{{- $_ := set $spec $key (get $set $key) -}}
{{- end -}}
{{- range $key, $value := $spec -}}
{{- if and (empty $value) (not (kindIs "bool" $value)) }}{{ $_ := unset $spec $key }}{{ end -}}
{{- end -}}
{{- $seconds := ternary $pod.terminationGracePeriodSeconds $set.terminationGracePeriodSeconds (kindIs "invalid" $set.terminationGracePeriodSeconds) -}}
{{- if not (kindIs "invalid" $seconds) }}{{ $_ := set $spec "terminationGracePeriodSeconds" (int $seconds) }}{{ end -}}
{{- $annotations := merge (deepCopy $set.podAnnotations) ($pod.annotations | default dict) -}}
metadata:
  labels: {{- merge (include "k8s-infra.podLabels" (dict "root" $root "name" .name) | fromYaml) $set.podLabels | toYaml | nindent 4 }}
  {{- with $annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec: {{- merge $spec ($pod.spec | default dict) | toYaml | nindent 2 }}
{{- end }}

{{/*
Lays the map `from` over the map `into`, in place. Null removes a key, any other value counts, also false, 0 and empty ones
(which mergeOverwrite would leave out).
*/}}
{{- define "k8s-infra.overlay" -}}
{{- $into := .into -}}
{{- range $key, $value := .from -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $into $key -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $into $key)) }}{{ include "k8s-infra.overlay" (dict "into" (get $into $key) "from" $value) -}}
{{- else }}{{ $_ := set $into $key $value }}{{ end -}}
{{- end -}}
{{- end }}

{{/* The options of `pods` for one part (dict "all" .Values.pods "part" PART): maps merged, lists joined, the rest replaced. */}}
{{- define "k8s-infra.options" -}}
{{- $set := deepCopy .all -}}
{{- range $key, $all := .all -}}
{{- if hasKey $.part $key -}}
{{- $own := get $.part $key -}}
{{- if kindIs "map" $all }}{{ include "k8s-infra.overlay" (dict "into" (get $set $key) "from" ($own | default dict)) -}}
{{- else if kindIs "slice" $all }}{{ $_ := set $set $key (concat $all ($own | default list)) -}}
{{- else }}{{ $_ := set $set $key $own }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $set -}}
{{- end }}

{{/* Environment of a store's credentials (dict "prefix" PREFIX "external" EXTERNAL), and the certificates it is recognised by. */}}
{{- define "k8s-infra.credentials" -}}
{{- $keys := dict "none" (dict) "basic" (dict "USERNAME" "username" "PASSWORD" "password") "bearer" (dict "BEARER_TOKEN" "bearerToken") "apiKey" (dict "API_KEY" "apiKey") -}}
{{- range $variable, $key := get $keys .external.auth }}
- { name: {{ $.prefix }}_{{ $variable }}, valueFrom: { secretKeyRef: { name: {{ required (printf "existingSecret beside `auth: %s` (%s)" $.external.auth $.where) $.external.existingSecret | quote }}, key: {{ $key }} } } }
{{- end }}
{{- end }}
