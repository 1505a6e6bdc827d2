# shellcheck shell=sh disable=SC2154,SC2034,SC2013,SC2016
# What the chart asks for, and whether the nodes have room for it.

# Lines, tab-separated, for each object of a manifest: `kind API-VERSION KIND`, and for what counts here also
#   workload KIND NAME REPLICAS CPU,CPU,… MEMORY,MEMORY,… HOST-PORTS
#   claim NAME STORAGE-CLASS SIZE
#   image IMAGE
asked_template='kind{{"\t"}}{{.apiVersion}}{{"\t"}}{{.kind}}{{"\n"}}{{$kind := .kind -}}
{{define "pod"}}{{range .spec.containers}}{{with .resources}}{{with .requests}}{{with .cpu}}{{.}}{{end}}{{end}}{{end}},{{end}}{{"\t"}}{{range .spec.containers}}{{with .resources}}{{with .requests}}{{with .memory}}{{.}}{{end}}{{end}}{{end}},{{end}}{{"\t"}}{{range .spec.containers}}{{range .ports}}{{with .hostPort}}{{.}},{{end}}{{end}}{{end}}{{"\n"}}{{range .spec.containers}}image{{"\t"}}{{.image}}{{"\n"}}{{end}}{{end -}}
{{if or (eq $kind "Deployment") (eq $kind "StatefulSet") (eq $kind "DaemonSet")}}workload{{"\t"}}{{$kind}}{{"\t"}}{{.metadata.name}}{{"\t"}}{{with .spec.replicas}}{{.}}{{else}}1{{end}}{{"\t"}}{{template "pod" .spec.template}}{{range .spec.volumeClaimTemplates}}claim{{"\t"}}{{.metadata.name}}{{"\t"}}{{with .spec.storageClassName}}{{.}}{{end}}{{"\t"}}{{.spec.resources.requests.storage}}{{"\n"}}{{end}}{{end -}}
{{if eq $kind "PersistentVolumeClaim"}}claim{{"\t"}}{{.metadata.name}}{{"\t"}}{{with .spec.storageClassName}}{{.}}{{end}}{{"\t"}}{{.spec.resources.requests.storage}}{{"\n"}}{{end}}'

# read_asked MANIFESTS OUT: the lines above. kubectl reads the YAML, since a shell cannot; nothing is created.
read_asked() {
  kube create --dry-run=client --validate=false -n "$namespace" -f "$1" -o go-template="$asked_template" >"$2" 2>"$work/error"
}

# read_room OUT: `node NAME CPU MEMORY no-if-it-takes-no-pods` and, for each pod that is not ours and has not ended,
# `pod NODE NAMESPACE/NAME CPU,… MEMORY,… HOST-PORTS`. False where nodes may not be listed.
read_room() {
  kube get nodes -o go-template='{{range .items}}node{{"\t"}}{{.metadata.name}}{{"\t"}}{{.status.allocatable.cpu}}{{"\t"}}{{.status.allocatable.memory}}{{"\t"}}{{if .spec.unschedulable}}no{{end}}{{range .spec.taints}}{{if or (eq .effect "NoSchedule") (eq .effect "NoExecute")}}no{{end}}{{end}}{{"\n"}}{{end}}' \
    >"$1" 2>"$work/error" || return 1
  # Without the right to list pods, what they have taken is unknown, and nodes count as empty. Those of this release make room for
  # those that are asked for; those of another release do not, in whatever namespace.
  kube get pods --all-namespaces --field-selector=status.phase!=Succeeded,status.phase!=Failed \
    -o go-template='{{range .items}}{{if .spec.nodeName}}{{with .metadata.labels}}{{with index . "app.kubernetes.io/part-of"}}{{.}}{{end}}{{end}}{{"\t"}}{{with .metadata.labels}}{{with index . "app.kubernetes.io/instance"}}{{.}}{{end}}{{end}}{{"\t"}}{{.metadata.namespace}}{{"\t"}}pod{{"\t"}}{{.spec.nodeName}}{{"\t"}}{{.metadata.namespace}}/{{.metadata.name}}{{"\t"}}{{range .spec.containers}}{{with .resources}}{{with .requests}}{{with .cpu}}{{.}}{{end}}{{end}}{{end}},{{end}}{{"\t"}}{{range .spec.containers}}{{with .resources}}{{with .requests}}{{with .memory}}{{.}}{{end}}{{end}}{{end}},{{end}}{{"\t"}}{{range .spec.containers}}{{range .ports}}{{with .hostPort}}{{.}},{{end}}{{end}}{{end}}{{"\n"}}{{end}}{{end}}' \
    >"$work/taken" 2>/dev/null || : >"$work/taken"
  awk -F '\t' -v ours="watchingcat\t$release\t$namespace" '$1 "\t" $2 "\t" $3 != ours' "$work/taken" | cut -f 4- >>"$1"
}

# place < (room lines, then asked lines): puts the pods onto the nodes, the largest first, each where it fits, and says
#   total CPU-MILLIS MEBIBYTES      what is asked for
#   free CPU-MILLIS MEBIBYTES NODES what the nodes that take pods have left
#   short WORKLOAD CPU-MILLIS MEBIBYTES   a pod for which there is no place
#   port PORT NODE POD              a port of the agent that another pod has already
place() {
  awk -F '\t' '
    function millis(q) { if (q ~ /m$/) return q + 0; return q * 1000 }
    function mebibytes(q, n, unit) {
      n = q + 0; unit = q; sub(/^[0-9.]+/, "", unit)
      if (unit == "Ki") return n / 1024
      if (unit == "Mi") return n
      if (unit == "Gi") return n * 1024
      if (unit == "Ti") return n * 1048576
      if (unit == "k") return n * 1000 / 1048576
      if (unit == "M") return n * 1000000 / 1048576
      if (unit == "G") return n * 1000000000 / 1048576
      if (unit == "m") return n / 1000 / 1048576
      return n / 1048576
    }
    function sum(list, memory, parts, count, i, all) {
      count = split(list, parts, ","); all = 0
      for (i = 1; i <= count; i++) if (parts[i] != "") all += memory ? mebibytes(parts[i]) : millis(parts[i])
      return all
    }
    $1 == "node" { nodes++; name[nodes] = $2; cpu[$2] = millis($3); memory[$2] = mebibytes($4); shut[$2] = ($5 ~ /no/) }
    $1 == "pod" {
      cpu[$2] -= sum($4, 0); memory[$2] -= sum($5, 1)
      count = split($6, ports, ",")
      for (i = 1; i <= count; i++) if (ports[i] != "") holder[$2 "/" ports[i]] = $3
    }
    $1 == "workload" && $2 == "DaemonSet" {
      # It tolerates every taint.
      for (i = 1; i <= nodes; i++) {
        totalCpu += sum($5, 0); totalMemory += sum($6, 1)
        need[++pods] = sum($6, 1); needCpu[pods] = sum($5, 0); whose[pods] = $3; where[pods] = name[i]
        count = split($7, ports, ",")
        for (p = 1; p <= count; p++) if (ports[p] != "" && (name[i] "/" ports[p]) in holder)
          print "port\t" ports[p] "\t" name[i] "\t" holder[name[i] "/" ports[p]]
      }
    }
    $1 == "workload" && $2 != "DaemonSet" {
      for (i = 1; i <= $4 + 0; i++) {
        totalCpu += sum($5, 0); totalMemory += sum($6, 1)
        need[++pods] = sum($6, 1); needCpu[pods] = sum($5, 0); whose[pods] = $3; where[pods] = ""
      }
    }
    END {
      for (i = 1; i <= nodes; i++) if (!shut[name[i]]) { open++; freeCpu += cpu[name[i]]; freeMemory += memory[name[i]] }
      printf "total\t%d\t%d\n", totalCpu, totalMemory
      printf "free\t%d\t%d\t%d\n", freeCpu, freeMemory, open
      # Those of the DaemonSet have no choice of node, so they come first; of the others the largest.
      for (round = 1; round <= pods; round++) {
        best = 0
        for (i = 1; i <= pods; i++) if (!(i in done)) {
          if (!best) best = i
          else if ((where[i] != "") != (where[best] != "")) { if (where[i] != "") best = i }
          else if (need[i] > need[best]) best = i
        }
        done[best] = 1; spot = ""
        for (i = 1; i <= nodes; i++) {
          n = name[i]
          if (where[best] != "" ? n != where[best] : shut[n]) continue
          if (cpu[n] < needCpu[best] || memory[n] < need[best]) continue
          if (spot == "" || memory[n] > memory[spot]) spot = n
        }
        if (spot == "") printf "short\t%s\t%d\t%d\n", whose[best], needCpu[best], need[best]
        else { cpu[spot] -= needCpu[best]; memory[spot] -= need[best] }
      }
    }'
}

# amount CPU-MILLIS MEBIBYTES → 1.5 CPU and 3.2 GiB
amount() { awk -v cpu="$1" -v memory="$2" 'BEGIN { printf "%.1f CPU and %.1f GiB", cpu / 1000, memory / 1024 }'; }

# check_storage: every claim has a class, or there is a default one.
check_storage() {
  claims=$(awk -F '\t' '$1 == "claim"' "$work/asked" | wc -l | tr -d ' ')
  [ "$claims" -gt 0 ] || return 0
  if ! kube get storageclasses -o go-template='{{range .items}}{{.metadata.name}}{{"\t"}}{{range $k, $v := .metadata.annotations}}{{if eq $v "true"}}{{if eq $k "storageclass.kubernetes.io/is-default-class"}}default{{end}}{{if eq $k "storageclass.beta.kubernetes.io/is-default-class"}}default{{end}}{{end}}{{end}}{{"\n"}}{{end}}' \
    >"$work/classes" 2>/dev/null; then
    note 'storage: classes may not be listed by this user: not checked'
    return 0
  fi
  default_class=$(awk -F '\t' '$2 ~ /default/ { print $1; exit }' "$work/classes")
  storage_is_fine=yes
  for wanted in $(awk -F '\t' '$1 == "claim" { print ($3 == "" ? "-default-" : $3) }' "$work/asked" | sort -u); do
    if [ "$wanted" = -default- ] && [ -z "$default_class" ]; then
      bad 'storage: the cluster has no default StorageClass'
      storage_is_fine=no
    elif [ "$wanted" != -default- ] && ! awk -F '\t' -v wanted="$wanted" '$1 == wanted { found = 1 } END { exit !found }' "$work/classes"; then
      bad "storage: there is no StorageClass $wanted"
      storage_is_fine=no
    fi
  done
  if [ "$storage_is_fine" = no ]; then
    there=$(cut -f 1 "$work/classes" | one_line)
    hint "${there:+--set global.storageClass=NAME with one of: $there; or }--set storage.prometheus.persistence.enabled=false --set storage.elasticsearch.persistence.enabled=false keeps nothing beyond a pod's life"
    return 1
  fi
  good "storage: $claims volume(s), StorageClass ${default_class:-as given}"
}
