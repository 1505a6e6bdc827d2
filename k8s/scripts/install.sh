#!/bin/sh
# Installs WatchingCat on the cluster that kubectl speaks to, or changes what is installed: it can be run again.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib/talk.sh"
. "$here/lib/options.sh"
. "$here/lib/cluster.sh"
. "$here/lib/capacity.sh"
. "$here/lib/progress.sh"
chart=$here/../helm/k8s-infra

usage() {
  cat <<TEXT
Installs WatchingCat on the cluster that kubectl speaks to. Run again, it changes what is installed to what is asked for.

  $0 [options] [-- options of helm upgrade]

  --cluster-name NAME      attribute cluster.name of all that is collected
  --region NAME            attribute cloud.region
  --environment NAME       attribute environment, such as production
  --namespace NAME         where it is installed (observability); made where it is not there
  --release NAME           name of the Helm release (watchingcat)
  --profile full|embedded  full: with Jaeger, Prometheus, Elasticsearch, Grafana; embedded: the backend keeps all itself
  --size small|medium|large  what the pods ask for; not given: what fits
  --values FILE            values of the chart; may be given several times
  --set KEY=VALUE          one value; may be given several times. --set-string likewise
  --reuse-values           takes what was set at the last run, and this run's options over it
  --context NAME           context of the kubeconfig
  --timeout TIME           how long it waits for the pods: 90s, 10m, 1h (10m)
  --wait, --no-wait        waits until the pods are ready (it does), or returns when they are asked for
  --dry-run                makes all checks and prints the manifests; changes nothing
  --force                  goes on where a check has failed
  --yes                    asks nothing. Off a terminal nothing is asked anyway
  --help                   this text

Exit codes: 0 fine, 1 found a problem, 2 wrong usage, 3 the cluster does not answer.

  $0 --cluster-name prod-1 --region eu-west-1 --environment production
  $0 --profile embedded
  $0 --reuse-values --set backend.replicas=3
TEXT
}

timeout=600 size='' waits=yes force=no reuse=no size_is_given=no
with_value="$with_value --cluster-name --region --environment --profile --size --values -f --set --set-string"

# Options for Helm stay in "$@": each argument is taken from the front, and what goes to Helm is put back at the end.
left=$#
while [ "$left" -gt 0 ]; do
  read_option "$left" "$1" "${2-}"
  shift "$taken"
  left=$((left - taken))
  case $option in
    --cluster-name) set -- "$@" --set-string "global.clusterName=$value" ;;
    --region) set -- "$@" --set-string "global.region=$value" ;;
    --environment) set -- "$@" --set-string "global.environment=$value" ;;
    --profile)
      case $value in full | embedded) ;; *) usage_error "--profile is full or embedded, not $value" ;; esac
      set -- "$@" --set "profile=$value"
      ;;
    --size)
      case $value in small | medium | large) ;; *) usage_error "--size is small, medium or large, not $value" ;; esac
      size_is_given=yes
      set -- "$@" --set "size=$value"
      ;;
    --values | -f)
      [ -r "$value" ] || usage_error "--values: there is no file $value"
      ! grep -q '^size:' "$value" || size_is_given=yes
      set -- "$@" --values "$value"
      ;;
    --set | --set-string)
      case $value in *=*) ;; *) usage_error "$option takes KEY=VALUE, not $value" ;; esac
      case ",$value" in *,size=*) size_is_given=yes ;; esac
      set -- "$@" "$option" "$value"
      ;;
    --wait) waits=yes ;;
    --no-wait) waits=no ;;
    --force) force=yes ;;
    --reuse-values) reuse=yes ;;
    --)
      while [ "$left" -gt 0 ]; do
        case ",${1#--set*=}" in *,size=*) size_is_given=yes ;; esac
        set -- "$@" "$1"
        shift
        left=$((left - 1))
      done
      ;;
    *) take_common_option ;;
  esac
done

work=$(mktemp -d "${TMPDIR:-/tmp}/watchingcat.XXXXXX")
# shellcheck disable=SC2329
leave() {
  code=$?
  rm -rf "$work"
  exit "$code"
}
trap leave EXIT
trap 'say ""; note "interrupted: what was asked for goes on in the cluster; run this again to see how far it is"; exit 130' INT TERM
# How long pods may stay in a state that waiting does not mend, before that is said to be the end of it.
patience=60

check_tools
check_access
find_flavour
find_namespace

# From here on a failed check is remembered, so that one run tells all that is wrong.
failed=no
check() { "$@" || failed=yes; }

if [ "$reuse" = yes ]; then
  helm_in get values "$release" -o yaml >"$work/earlier.yaml" 2>"$work/error" ||
    stop "$found_problem" "--reuse-values: there is no release $release in namespace $namespace"
  ! grep -q '^size:' "$work/earlier.yaml" || size_is_given=yes
  set -- --values "$work/earlier.yaml" "$@"
fi

# render OPTIONS-OF-HELM…: the manifests, as for this cluster, and what they ask for.
render() {
  helm_in template "$release" "$chart" --kube-version "$server_version" --skip-tests "$@" >"$work/manifests.yaml" 2>"$work/error" || {
    bad 'the chart refuses these values'
    quote "$(sed -e 's/^Error: //' -e '/^Use --debug/d' "$work/error" | one_line)"
    exit "$wrong_usage"
  }
  read_asked "$work/manifests.yaml" "$work/asked" || {
    bad 'the cluster does not know some of what the chart makes'
    quote "$(tail -n 3 "$work/error" | one_line)"
    exit "$found_problem"
  }
}

# fit: places what was rendered; sets `total`, `free`, and `short` with what has no place.
fit() {
  place <<TEXT >"$work/places"
$(cat "$work/room" "$work/asked")
TEXT
  total=$(awk -F '\t' '$1 == "total" { print $2, $3 }' "$work/places")
  free=$(awk -F '\t' '$1 == "free" { print $2, $3 }' "$work/places")
  nodes=$(awk -F '\t' '$1 == "free" { print $4 }' "$work/places")
  short=$(awk -F '\t' '$1 == "short" { printf "%s%s", (n++ ? ", " : ""), $2 }' "$work/places")
}

# Takes the largest of the sizes that fits: medium, on more than a laptop, else small.
choose_room() {
  if ! read_room "$work/room"; then
    note 'capacity: nodes may not be listed by this user: not checked'
    return 0
  fi
  fit
  # shellcheck disable=SC2086
  if [ "$size_is_given" = no ] && { [ -n "$short" ] || [ -n "$flavour" ] || [ "$nodes" -le 1 ]; }; then
    too_large=${short:+$(amount $total) do not fit into what is free}
    # What is looked at from here on, and printed by --dry-run, is what --force would install, too.
    size=small
    render "$@" --set size=small
    fit
    note "capacity: ${too_large:-this is ${flavour:-a cluster of one node}}; sized down (--size small; --size medium is what it would be else)"
  fi
  # shellcheck disable=SC2086
  if [ -n "$short" ]; then
    bad "capacity: $(amount $total) are asked for, $(amount $free) are free on $nodes node(s): no place for $short"
    hint '--profile embedded needs least; or add nodes, or stop something else'
    return 1
  else
    good "capacity: $(amount $total) are asked for, $(amount $free) are free on $nodes node(s)"
  fi
}

check_ports() {
  [ -s "$work/places" ] && grep -q '^port' "$work/places" || return 0
  bad 'ports: others have ports that the agent opens on its nodes'
  quote "$(awk -F '\t' '$1 == "port" { print $2 " on " $3 ": " $4 }' "$work/places" | head -n 5)"
  explain_ports
  return 1
}

check_pod_security() {
  case $enforced in baseline | restricted) ;; *) return 0 ;; esac
  # What the agent mounts of its node is what both levels forbid.
  grep -q 'hostPath:' "$work/manifests.yaml" || return 0
  bad "Pod Security: namespace $namespace enforces $enforced, and the agent reads files of its node"
  explain_pod_security
  return 1
}

# Where images are loaded by hand: whether the backend's is there. A node names fifty of its images.
check_image() {
  [ -n "$flavour" ] || return 0
  backend_image=$(awk -F '\t' '$1 == "image" && $2 ~ /watchingcat-backend/ { print $2; exit }' "$work/asked")
  [ -n "$backend_image" ] || return 0
  if ! kube get nodes -o jsonpath='{.items[*].status.images[*].names[*]}' 2>/dev/null | tr ' ' '\n' | grep -q -x -F -e "$backend_image"; then
    note "$flavour: the image $backend_image is on no node yet; if it was built here: $(load_image_command "${backend_image#docker.io/}")"
  fi
}

render "$@"
check choose_room "$@"
[ -z "$size" ] || set -- "$@" --set "size=$size"
check check_rights
check check_storage
check check_pod_security
check check_ports
check_image

if [ "$failed" = yes ] && [ "$force" = no ]; then
  stop "$found_problem" 'nothing was installed' 'mend what is marked above, or go on all the same with --force'
fi
if [ "$dry_run" = yes ]; then
  say "dry run: helm upgrade --install $release $chart --namespace $namespace --create-namespace $*"
  cat "$work/manifests.yaml"
  exit 0
fi

interrupted=$(helm_in list --pending --short --filter "^$release\$" 2>/dev/null || :)
if [ -n "$interrupted" ]; then
  stop "$found_problem" "an earlier run for release $release is under way, or was interrupted" \
    "if none is: helm -n $namespace rollback $release, or where it was the first: helm -n $namespace uninstall $release"
fi
if [ "$yes" = no ] && can_ask && ! confirm "Install release $release into namespace $namespace of $shown_context?"; then
  stop "$found_problem" 'nothing was installed'
fi

if ! helm_in upgrade --install "$release" "$chart" --create-namespace "$@" >"$work/helm" 2>&1; then
  bad 'helm could not install it'
  quote "$(sed -e '/^Use --debug/d' "$work/helm" | tail -n 5 | cut -c 1-600)"
  exit "$found_problem"
fi
# What the API server warns of is said, in its words.
sed -n 's/.*[Ww]arning: //p' "$work/helm" | sed -e 's/"$//' -e 's/\\"/"/g' | while IFS= read -r warning; do note "$warning"; done
good "release $release is in namespace $namespace"

if [ "$waits" = yes ] && ! follow "$timeout"; then
  hint "it goes on trying; run this again, or look: kubectl -n $namespace get pods"
  exit "$found_problem"
fi
helm_in get notes "$release" 2>/dev/null | sed -e '/^NOTES:$/d' >&2
