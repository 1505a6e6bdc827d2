# shellcheck shell=sh disable=SC2154,SC2034,SC2013,SC2016
# What the scripts ask of kubectl, helm and the cluster. Sets: server_version, flavour, namespace_exists.

# Every call of kubectl and helm goes through these, so that --context counts for each.
kube() { kubectl ${context:+--context "$context"} --request-timeout=20s "$@"; }
helm_in() { helm ${context:+--kube-context "$context"} --namespace "$namespace" "$@"; }

# version_number v1.31.2-gke.1 → 1031, so that versions compare as numbers.
version_number() {
  printf '%s\n' "$1" | sed -e 's/^v//' | awk -F. '{ sub(/[^0-9].*/, "", $2); print $1 * 1000 + $2 }'
}

# client_version, server_version of `kubectl version -o yaml`, read from stdin: section_version clientVersion
section_version() {
  awk -v section="$1:" '$1 == section { inside = 1; next } /^[^ ]/ { inside = 0 } inside && $1 == "gitVersion:" { print $2; exit }'
}

check_tools() {
  command -v kubectl >/dev/null 2>&1 || stop "$found_problem" 'kubectl is not there' 'https://kubernetes.io/docs/tasks/tools/'
  command -v helm >/dev/null 2>&1 || stop "$found_problem" 'helm is not there' 'https://helm.sh/docs/intro/install/'
  helm_version=$(helm version --short 2>/dev/null | tail -n 1 | sed -e 's/^Client: //' -e 's/+.*//')
  case $helm_version in
    v[3-9].* | v[1-9][0-9].*) ;;
    *) stop "$found_problem" "helm is ${helm_version:-of an unknown version}; version 3 is needed" 'https://helm.sh/docs/intro/install/' ;;
  esac
}

# Whether the cluster answers, which one it is, and how old.
check_access() {
  if [ -z "$context" ]; then
    shown_context=$(kubectl config current-context 2>/dev/null) || shown_context='(none: the pod this runs in, or the default address)'
  else
    shown_context=$context
  fi
  if ! kube version -o yaml >"$work/version" 2>"$work/error"; then
    bad "the cluster of context $shown_context does not answer"
    quote "$(tail -n 2 "$work/error" | one_line)"
    hint 'kubectl config get-contexts shows which there are; --context NAME takes another one'
    exit "$unreachable"
  fi
  client_version=$(section_version clientVersion <"$work/version")
  server_version=$(section_version serverVersion <"$work/version")
  if [ "$(version_number "$server_version")" -lt 1019 ]; then
    stop "$found_problem" "Kubernetes $server_version: the chart needs 1.19 or later"
  fi
  good "kubectl $client_version, helm $helm_version, Kubernetes $server_version, context $shown_context"
  skew=$(($(version_number "$client_version") - $(version_number "$server_version")))
  if [ "$skew" -gt 2 ] || [ "$skew" -lt -2 ]; then
    note "kubectl $client_version is far from Kubernetes $server_version: one minor version apart is supported"
  fi
}

# Which kind of cluster, by its nodes: minikube, kind, docker-desktop, or empty. Their images are loaded by hand.
find_flavour() {
  kube get nodes -o go-template='{{range .items}}{{.metadata.name}} {{.spec.providerID}} {{range $k, $v := .metadata.labels}}{{$k}} {{end}}{{"\n"}}{{end}}' \
    >"$work/nodes-seen" 2>/dev/null || : >"$work/nodes-seen"
  flavour=$(awk '
    / minikube\.k8s\.io\// { print "minikube"; exit }
    / kind:\/\// { print "kind"; exit }
    $1 == "docker-desktop" { print "docker-desktop"; exit }' "$work/nodes-seen")
}

# The command that brings an image of this machine into the cluster.
load_image_command() {
  case $flavour in
    minikube) printf 'minikube image load %s' "$1" ;;
    kind) printf 'kind load docker-image %s' "$1" ;;
    *) printf 'push %s to a registry that the nodes reach' "$1" ;;
  esac
}

find_namespace() {
  namespace_exists=no
  enforced=''
  if kube get namespace "$namespace" -o go-template='{{range $k, $v := .metadata.labels}}{{if eq $k "pod-security.kubernetes.io/enforce"}}{{$v}}{{end}}{{end}}' \
    >"$work/enforced" 2>"$work/error"; then
    namespace_exists=yes
    enforced=$(cat "$work/enforced")
  elif ! grep -q -i -e 'not found' -e forbidden "$work/error"; then
    bad "namespace $namespace cannot be asked for"
    quote "$(one_line <"$work/error")"
    exit "$unreachable"
  fi
}

# Whether this user may do what helm does with what the chart consists of; reads `kind` lines of $work/asked. Where the release is
# there already, its objects are changed, and those that it no longer has are deleted.
check_rights() {
  if kube auth can-i '*' '*' --all-namespaces >/dev/null 2>&1; then
    good 'rights: all'
    return 0
  fi
  missing=''
  if [ "$namespace_exists" = no ] && ! may create namespaces; then missing="$missing create:namespaces"; fi
  # Helm keeps its releases there.
  for verb in get list create update delete; do may "$verb" secrets || missing="$missing $verb:secrets"; done
  verbs='create get'
  if helm_in status "$release" >/dev/null 2>&1; then verbs='create get patch delete'; fi
  for resource in $(awk -F '\t' '$1 == "kind" { print tolower($3) "." $2 }' "$work/asked" | sed -e 's,/.*,,' -e 's,\.v1$,,' | sort -u); do
    resource=$(plural "$resource")
    for verb in $verbs; do
      case " $missing " in *" $verb:$resource "*) ;; *) may "$verb" "$resource" || missing="$missing $verb:$resource" ;; esac
    done
  done
  if [ -z "$missing" ]; then
    good 'rights: what the chart needs'
    return 0
  fi
  bad "rights: this user may not do all that is needed in namespace $namespace"
  quote "$(printf '%s' "$missing" | tr ' ' '\n' | sed -n 's/:/ /p' | awk '{ verbs[$2] = verbs[$2] " " $1 } END { for (r in verbs) print r ":" verbs[r] }' | sort)"
  hint 'run it as somebody who may, or have the roles made for you and give --set rbac.create=false'
  return 1
}
may() { kube auth can-i "$1" "$2" -n "$namespace" >/dev/null 2>&1; }
# `kubectl auth can-i` names resources in the plural: networkpolicy.networking.k8s.io → networkpolicies.networking.k8s.io
plural() {
  printf '%s\n' "$1" | awk -F. '{ name = $1; rest = substr($0, length($1) + 1)
    if (name ~ /y$/) sub(/y$/, "ies", name); else if (name ~ /s$/) name = name "es"; else name = name "s"
    print name rest }'
}
