#!/bin/sh
# Removes WatchingCat from the cluster that kubectl speaks to, and names what stays.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib/talk.sh"
. "$here/lib/options.sh"
. "$here/lib/cluster.sh"
. "$here/lib/namespace.sh"

usage() {
  cat <<TEXT
Removes WatchingCat from the cluster that kubectl speaks to. Its volumes and its namespace stay, unless they are asked for.

  $0 [options]

  --namespace NAME     where it is installed (observability)
  --release NAME       name of the Helm release (watchingcat)
  --volumes            removes the volumes with all data, too
  --delete-namespace   removes the namespace, too, where it holds nothing else
  --context NAME       context of the kubeconfig
  --timeout TIME       how long it waits until all is gone: 90s, 10m, 1h (5m)
  --dry-run            says what would be removed; changes nothing
  --yes                asks nothing; needed for --volumes and --delete-namespace off a terminal
  --help               this text

Exit codes: 0 fine, 1 found a problem, 2 wrong usage, 3 the cluster does not answer.
TEXT
}

timeout=300 volumes=no delete_namespace=no

while [ $# -gt 0 ]; do
  read_option $# "$1" "${2-}"
  shift "$taken"
  case $option in
    --volumes) volumes=yes ;;
    --delete-namespace) delete_namespace=yes ;;
    *) take_common_option ;;
  esac
done
if [ "$delete_namespace" = yes ]; then
  case $namespace in default | kube-*) usage_error "--delete-namespace: $namespace is not for this to remove" ;; esac
fi
if [ "$volumes$delete_namespace" != nono ] && [ "$yes" = no ] && [ "$dry_run" = no ] && ! can_ask; then
  usage_error 'removing data needs --yes where nobody can be asked'
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/watchingcat.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

check_tools
check_access
find_namespace
if [ "$namespace_exists" = no ]; then
  good "there is no namespace $namespace: nothing to remove"
  exit 0
fi

names() { kube get "$1" -n "$namespace" -l "$2" -o name 2>"$work/error" || ask_failed; }
ask_failed() {
  bad 'the cluster did not answer'
  quote "$(one_line <"$work/error")"
  exit "$unreachable"
}
ours="app.kubernetes.io/instance=$release,app.kubernetes.io/part-of=watchingcat"
# The stores' claims, which Helm leaves alone, and those that the StatefulSet has made, which Helm does not know.
claims() {
  names persistentvolumeclaims "$ours"
  names persistentvolumeclaims 'app=watchingcat-backend,app.kubernetes.io/part-of!=watchingcat'
}
# Stops where the namespace holds what is not ours, or may hold it: with the namespace it would go.
check_namespace_is_ours() {
  if ! others "$work/claims" >"$work/others"; then
    bad "namespace $namespace stays: not everything in it can be looked at"
    quote "$(one_line <"$work/error")"
    hint "as somebody who may list all of it: kubectl api-resources --namespaced --verbs=list"
    exit "$found_problem"
  fi
  [ -s "$work/others" ] || return 0
  bad "namespace $namespace holds more than this, and stays:"
  quote "$(head -n 20 "$work/others")"
  more=$(($(wc -l <"$work/others") - 20))
  [ "$more" -le 0 ] || quote "and $more more"
  exit "$found_problem"
}

# helm status fails where there is no release, and where it may not look; only the first is as good as done.
installed=yes
helm_in status "$release" >/dev/null 2>"$work/error" || installed=no
if [ "$installed" = no ] && ! grep -q 'not found' "$work/error"; then ask_failed; fi

claims >"$work/claims"
if [ "$delete_namespace" = yes ]; then
  check_namespace_is_ours
  if [ -s "$work/claims" ] && [ "$volumes" = no ]; then
    bad "with namespace $namespace its volumes would go:"
    quote "$(cat "$work/claims")"
    hint 'say so with --volumes, or leave the namespace'
    exit "$found_problem"
  fi
fi

if [ "$installed" = yes ]; then say "release $release in namespace $namespace of $shown_context will be removed"; else say "there is no release $release in namespace $namespace"; fi
[ "$volumes" = no ] || [ ! -s "$work/claims" ] || { say 'with all data on these volumes:' && quote "$(cat "$work/claims")"; }
[ "$delete_namespace" = no ] || say "and the namespace $namespace"
if [ "$dry_run" = yes ]; then exit 0; fi
if [ "$yes" = no ] && can_ask && ! confirm 'Go on?'; then stop "$found_problem" 'nothing was removed'; fi

if [ "$installed" = yes ]; then
  if ! helm_in uninstall "$release" --wait --timeout "${timeout}s" >"$work/helm" 2>&1; then
    bad 'helm could not remove all of it'
    quote "$(tail -n 5 "$work/helm")"
    exit "$found_problem"
  fi
  # Pods take as long to stop as they need to deliver what they hold.
  kube wait --for=delete pod -n "$namespace" -l "$ours" --timeout="${timeout}s" --request-timeout=0 >/dev/null 2>"$work/error" ||
    { grep -q 'no matching resources' "$work/error" || note "pods are still stopping: kubectl -n $namespace get pods"; }
  good "release $release is gone"
fi
# Made by the pods, or by helm test, and so not known to Helm.
kube delete lease watchingcat-otel-deployment -n "$namespace" --ignore-not-found >/dev/null 2>&1 || note "the lease watchingcat-otel-deployment stays in namespace $namespace"
kube delete pod watchingcat-test -n "$namespace" --ignore-not-found >/dev/null 2>&1 || note "the pod watchingcat-test stays in namespace $namespace"

if [ "$volumes" = yes ] && [ -s "$work/claims" ]; then
  # shellcheck disable=SC2046
  kube delete -n "$namespace" $(cat "$work/claims") --timeout="${timeout}s" --request-timeout=0 >/dev/null 2>"$work/error" ||
    { bad 'volumes could not be removed' && quote "$(one_line <"$work/error")" && exit "$found_problem"; }
  good "volumes are gone: $(wc -l <"$work/claims" | tr -d ' ')"
elif [ -s "$work/claims" ]; then
  note 'these volumes stay, with their data:'
  quote "$(cat "$work/claims")"
  hint "$0 --namespace $namespace --release $release --volumes"
fi
if [ "$delete_namespace" = yes ]; then
  # Somebody may have put something there meanwhile.
  check_namespace_is_ours
  kube delete namespace "$namespace" --timeout="${timeout}s" --request-timeout=0 >/dev/null 2>"$work/error" ||
    { bad "namespace $namespace could not be removed" && quote "$(one_line <"$work/error")" && exit "$found_problem"; }
  good "namespace $namespace is gone"
else
  note "the namespace $namespace stays"
  hint "$0 --namespace $namespace --release $release --volumes --delete-namespace"
fi
note 'the folder /var/lib/watchingcat of each node stays: how far logs were read; nothing here may write on nodes'
