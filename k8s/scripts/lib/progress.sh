# shellcheck shell=sh disable=SC2154,SC2034,SC2013,SC2016
# Waits until the pods of the release are ready, shows how far they are, and says of those that are not: why, and what to do.

# `Kind NAME GENERATION OBSERVED DESIRED UPDATED READY TOTAL` for each workload.
workloads_template='{{range .items}}{{.kind}} {{.metadata.name}} {{.metadata.generation}} {{with .status.observedGeneration}}{{.}}{{else}}0{{end}} {{if eq .kind "DaemonSet"}}{{.status.desiredNumberScheduled}} {{with .status.updatedNumberScheduled}}{{.}}{{else}}0{{end}} {{.status.numberReady}} {{.status.desiredNumberScheduled}}{{else}}{{.spec.replicas}} {{with .status.updatedReplicas}}{{.}}{{else}}0{{end}} {{with .status.readyReplicas}}{{.}}{{else}}0{{end}} {{with .status.replicas}}{{.}}{{else}}0{{end}}{{end}}{{"\n"}}{{end}}'

# What is wrong with each pod, tab-separated: `waiting|ended|running|unscheduled APP POD CONTAINER REASON IMAGE "MESSAGE"`.
container_template='{{$head := printf "%s\t%s\t%s\t" $app $pod .name}}{{$image := .image}}{{with .state.waiting}}waiting{{"\t"}}{{$head}}{{.reason}}{{"\t"}}{{$image}}{{"\t"}}{{with .message}}{{printf "%q" .}}{{end}}{{"\n"}}{{end}}{{with .lastState.terminated}}ended{{"\t"}}{{$head}}{{.reason}}{{"\t"}}{{$image}}{{"\t"}}exit code {{.exitCode}}{{"\n"}}{{end}}'
pods_template='{{range .items}}{{if not .metadata.deletionTimestamp}}{{$pod := .metadata.name}}{{$app := index .metadata.labels "app"}}{{range .status.conditions}}{{if and (eq .type "PodScheduled") (eq .status "False")}}unscheduled{{"\t"}}{{$app}}{{"\t"}}{{$pod}}{{"\t"}}-{{"\t"}}{{.reason}}{{"\t"}}-{{"\t"}}{{with .message}}{{printf "%q" .}}{{end}}{{"\n"}}{{end}}{{end -}}
{{range .status.initContainerStatuses}}'$container_template'{{end -}}
{{range .status.containerStatuses}}'$container_template'{{if .state.running}}running{{"\t"}}{{$head}}-{{"\t"}}{{$image}}{{"\t\n"}}{{end}}{{end}}{{end}}{{end}}'

# Lines `refused APP MESSAGE` for pods that the API server does not take: of Deployments by their condition, which lasts; of
# DaemonSets and StatefulSets by events.
conditions_template='{{range .items}}{{$app := .metadata.name}}{{range .status.conditions}}{{if and (eq .type "ReplicaFailure") (eq .status "True")}}refused{{"\t"}}{{$app}}{{"\t"}}{{printf "%q" .message}}{{"\n"}}{{end}}{{end}}{{end}}'
events_template='{{range .items}}{{.reason}}{{"\t"}}{{.involvedObject.kind}}{{"\t"}}{{.involvedObject.name}}{{"\t"}}{{with .message}}{{printf "%q" .}}{{end}}{{"\n"}}{{end}}'

selector() { printf 'app.kubernetes.io/instance=%s,app.kubernetes.io/part-of=watchingcat' "$release"; }
now() { date +%s; }
plain_text() { sed -e 's/^"//' -e 's/"$//' -e 's/\\"/"/g' -e 's/\\n/ /g'; }

# look: one look at the cluster: $work/workloads, and $work/problems with lines `CLASS APP POD CONTAINER IMAGE MESSAGE`.
look() {
  kube get deployments,daemonsets,statefulsets -n "$namespace" -l "$(selector)" -o go-template="$workloads_template" \
    >"$work/workloads" 2>"$work/error" || return 1
  : >"$work/problems"
  if workloads_ready; then return 0; fi
  kube get pods -n "$namespace" -l "$(selector)" -o go-template="$pods_template" >"$work/pods" 2>"$work/error" || return 1
  kube get deployments -n "$namespace" -l "$(selector)" -o go-template="$conditions_template" >"$work/refused" 2>"$work/error" || return 1
  # Events may be kept from this user: then some reasons stay unknown.
  kube get events -n "$namespace" --field-selector type!=Normal --sort-by=.metadata.creationTimestamp -o go-template="$events_template" \
    >"$work/events" 2>/dev/null || : >"$work/events"
  classify
}

# is_ready of a line of $work/workloads
ready_rule='function is_ready() { return $4 >= $3 && $6 == $5 && $7 >= $5 && $8 == $5 }'
workloads_ready() {
  awk "$ready_rule"' { n++; if (!is_ready()) waits = 1 } END { exit !(n && !waits) }' "$work/workloads"
}

# Names what stands in the way of each workload that is not ready, in $work/problems.
classify() {
  {
    awk "$ready_rule"' !is_ready() { print "wait\t" $2 "\t" $1 }' "$work/workloads"
    cat "$work/refused"
    awk -F '\t' '$1 == "FailedCreate" && ($2 == "DaemonSet" || $2 == "StatefulSet") { last[$3] = $4 }
      END { for (app in last) print "refused\t" app "\t" last[app] }' "$work/events"
    cat "$work/pods"
    awk -F '\t' '($1 == "FailedMount" || $1 == "FailedAttachVolume") && $2 == "Pod" { last[$3] = $4 }
      END { for (pod in last) print "mount\t" pod "\t" last[pod] }' "$work/events"
  } | awk -F '\t' '
    function put(class, app, pod, container, image, message) {
      if (!(app in waits) || (class "\t" app) in seen) return
      seen[class "\t" app] = 1
      print class "\t" app "\t" pod "\t" container "\t" image "\t" message
    }
    $1 == "wait" { waits[$2] = 1 }
    $1 == "refused" {
      if ($3 ~ /exceeded quota|failed quota/) put("quota", $2, "-", "-", "-", $3)
      else if ($3 ~ /violates PodSecurity/) put("podsecurity", $2, "-", "-", "-", $3)
      else put("refused", $2, "-", "-", "-", $3)
    }
    $1 == "unscheduled" {
      if ($7 ~ /free ports/) put("port", $2, $3, "-", "-", $7)
      else if ($7 ~ /PersistentVolumeClaim|persistentvolumeclaim|volume node affinity|available persistent volumes/) put("volume", $2, $3, "-", "-", $7)
      else if ($7 ~ /Insufficient|Too many pods/) put("capacity", $2, $3, "-", "-", $7)
      else put("nodes", $2, $3, "-", "-", $7)
    }
    $1 == "waiting" {
      where[$3] = $2
      if ($5 ~ /^(ErrImagePull|ImagePullBackOff|ErrImageNeverPull|InvalidImageName|ImageInspectError|RegistryUnavailable)$/) put("image", $2, $3, $4, $6, $7)
      else if ($5 ~ /^(CreateContainerConfigError|CreateContainerError|RunContainerError)$/) put("config", $2, $3, $4, $6, $7)
      else if ($5 == "CrashLoopBackOff") crash[$3 "\t" $4] = $2
    }
    $1 == "running" { where[$3] = $2 }
    $1 == "ended" {
      if ($5 == "OOMKilled") put("memory", $2, $3, $4, $6, $7)
      else if (($3 "\t" $4) in crash) put("crash", $2, $3, $4, $6, $7)
    }
    $1 == "mount" { if ($2 in where) put("mount", where[$2], $2, "-", "-", $3) }' >"$work/problems"
}

# Classes that waiting does not mend.
final_classes='^(image|quota|podsecurity|refused|config)$'

# Whether every workload that is not ready has a problem, and waiting mends at least one of them not.
is_stuck() {
  awk -v final="$final_classes" "$ready_rule"'
    FILENAME ~ /problems$/ { has[$2] = 1; if ($1 ~ final) stuck = 1; next }
    !is_ready() && !($2 in has) { open = 1 }
    END { exit !(stuck && !open) }' "$work/problems" "$work/workloads"
}

# explain CLASS APP POD CONTAINER IMAGE MESSAGE: what it means, what was said, what to do.
explain() {
  said=$(printf '%s' "$6" | plain_text)
  case $1 in
    image)
      bad "$2: the image $5 cannot be had"
      [ -z "$said" ] || quote "$said"
      if [ -n "$flavour" ]; then hint "an image of this machine: $(load_image_command "$5")"; fi
      hint 'a mirror: --set global.imageRegistry=HOST; credentials: --set "global.imagePullSecrets[0].name=SECRET"'
      ;;
    quota)
      bad "$2: a quota of namespace $namespace leaves no room for its pods"
      quote "$said"
      hint "kubectl -n $namespace describe resourcequota shows what is used; raise it, or ask for less: --size small"
      ;;
    podsecurity)
      bad "$2: Pod Security refuses its pods in namespace $namespace"
      quote "$said"
      explain_pod_security
      ;;
    refused)
      bad "$2: the API server refuses its pods"
      quote "$said"
      hint "kubectl -n $namespace get events --field-selector reason=FailedCreate"
      ;;
    capacity)
      bad "$2: no node has room for its pod"
      quote "$said"
      hint 'ask for less: --size small, or --profile embedded; or add nodes'
      ;;
    volume)
      bad "$2: its volume is not there"
      quote "$(volume_reason)"
      hint "kubectl -n $namespace describe pvc shows more; another class: --set global.storageClass=NAME (kubectl get storageclass)"
      hint "the class and size of a volume that exists are not changed: uninstall.sh --volumes removes it, with its data"
      ;;
    port)
      bad "$2: a port that it opens on the node is taken there"
      quote "$said"
      explain_ports
      ;;
    nodes)
      bad "$2: its pod may run on no node"
      quote "$said"
      hint '--values FILE with pods.tolerations or pods.nodeSelector'
      ;;
    config | mount)
      bad "$2: its container cannot be made"
      quote "$said"
      hint "kubectl -n $namespace describe pod $3"
      ;;
    memory)
      bad "$2: it needed more memory than its limit and was ended (OOMKilled)"
      hint "more for all: --size medium or large; for it alone: $(values_key "$2").resources.limits.memory in a values file"
      ;;
    crash)
      bad "$2: it ends again and again ($6); its last lines:"
      last_lines "$3" -c "$4" --previous
      hint "kubectl -n $namespace logs $3 --previous"
      ;;
  esac
}

# last_lines POD OPTIONS-OF-KUBECTL…: of its log.
last_lines() { quote "$(kube logs -n "$namespace" "$@" --tail=5 2>&1 | cut -c 1-300)"; }

explain_ports() { hint 'let the Service alone lead to the agent: --set otelAgent.hostPorts.enabled=false'; }

# The agent reads files of its node, which neither `baseline` nor `restricted` allows.
explain_pod_security() {
  hint "allow it there: kubectl label --overwrite namespace $namespace pod-security.kubernetes.io/enforce=privileged"
  hint 'or do without container logs and host metrics: --set otelAgent.logs.containers.enabled=false --set otelAgent.metrics.hostMetrics.enabled=false'
}

# What the claims' events say, the last of each.
volume_reason() {
  reason=$(awk -F '\t' '$2 == "PersistentVolumeClaim" { last[$3] = $4 } END { for (claim in last) print claim ": " last[claim] }' "$work/events" |
    sed -e 's/: "/: /' -e 's/"$//' -e 's/\\"/"/g')
  printf '%s' "${reason:-$said}"
}

# Where a workload's options are in the values.
values_key() {
  case $1 in
    watchingcat-otel-agent) echo otelAgent ;;
    watchingcat-otel-*) echo otelDeployment ;;
    watchingcat-backend) echo backend ;;
    grafana) echo grafana ;;
    *) echo "storage.$1" ;;
  esac
}

# Says each problem once: those that were not there at the last look.
say_new_problems() {
  while IFS='	' read -r class app pod container image message; do
    case $said_already in *" $class:$app "*) continue ;; esac
    said_already="$said_already$class:$app "
    wipe
    explain "$class" "$app" "$pod" "$container" "$image" "$message"
  done <"$work/problems"
}

# draw: on a terminal one block of lines that is drawn again in place, elsewhere a line where the count has changed.
drawn_lines=0
wipe() {
  if [ "$drawn_lines" -gt 0 ]; then printf '\033[%dA\033[J' "$drawn_lines" >&2; fi
  drawn_lines=0
}
draw() {
  count=$(awk '{ ready += ($7 < $5 ? $7 : $5); all += $5 } END { printf "%d of %d pods ready", ready, all }' "$work/workloads")
  if [ "$on_terminal" = no ]; then
    line="$count$(awk "$ready_rule"' !is_ready() { printf "%s %s", (n++ ? "," : "; waiting for"), $2 }' "$work/workloads")"
    if [ "$line" != "$last_line" ]; then
      say "$line"
      last_line=$line
    fi
    return 0
  fi
  wipe
  awk -v ok="$green$tick$plain" "$ready_rule"' { printf "  %s %-28s %d of %d\n", (is_ready() ? ok : "-"), $2, $7, $5 }' "$work/workloads" >&2
  printf '  %s%s, %s s%s\n' "$faint" "$count" "$(($(now) - began))" "$plain" >&2
  drawn_lines=$(($(wc -l <"$work/workloads") + 1))
}

# follow SECONDS: waits until all pods are ready. False where they are not by then, or cannot become so.
follow() {
  began=$(now)
  said_already=' ' last_line='' stuck_since='' failures=0
  while :; do
    if look; then
      failures=0
      draw
      say_new_problems
      if workloads_ready; then
        good "$count, after $(($(now) - began)) s"
        return 0
      fi
      if is_stuck; then stuck_since=${stuck_since:-$(now)}; else stuck_since=''; fi
      if [ -n "$stuck_since" ] && [ $(($(now) - stuck_since)) -ge "$patience" ]; then
        bad "$count, and waiting longer does not mend what is said above"
        return 1
      fi
    else
      # A moment without the API server is no reason to give up: it may be busy starting all this.
      failures=$((failures + 1))
      [ "$failures" -lt 15 ] || { bad 'the API server does not answer any more' && quote "$(one_line <"$work/error")" && exit "$unreachable"; }
    fi
    if [ $(($(now) - began)) -ge "$1" ]; then
      bad "$count after $1 s"
      [ -s "$work/problems" ] || say_unready
      return 1
    fi
    sleep 2
  done
}

# The time is over and nothing is known to be wrong: the last lines of what is not ready.
say_unready() {
  for app in $(awk "$ready_rule"' !is_ready() { print $2 }' "$work/workloads"); do
    pod=$(awk -F '\t' -v app="$app" '$1 == "running" && $2 == app { print $3; exit }' "$work/pods")
    if [ -z "$pod" ]; then
      bad "$app: its pods are still being made"
      hint "kubectl -n $namespace get events --sort-by=.lastTimestamp"
      continue
    fi
    bad "$app: it runs and is not ready; its last lines:"
    last_lines "$pod"
    hint "kubectl -n $namespace describe pod $pod; a longer wait: --timeout 20m"
  done
}
