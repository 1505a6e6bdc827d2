# shellcheck shell=sh disable=SC2154,SC2016
# What a namespace holds that is not of the release: with the namespace it would go, too.

# Lines, tab-separated, for each object: `APIVERSION KIND NAME UID OWNER-UID,… GOES PART-OF INSTANCE APP OWNER NAME-LABEL "RELEASE" KEEP
# SERVICE-ACCOUNT`. Labels and annotations that are not there are empty.
holds_template='{{define "of"}}{{with .}}{{.}}{{end}}{{"\t"}}{{end -}}
{{range .items}}{{.apiVersion}}{{"\t"}}{{.kind}}{{"\t"}}{{.metadata.name}}{{"\t"}}{{.metadata.uid}}{{"\t"}}{{range .metadata.ownerReferences}}{{.uid}},{{end}}{{"\t"}}{{with .metadata.deletionTimestamp}}goes{{end}}{{"\t"}}{{$labels := .metadata.labels}}{{if $labels}}{{template "of" (index $labels "app.kubernetes.io/part-of")}}{{template "of" (index $labels "app.kubernetes.io/instance")}}{{template "of" (index $labels "app")}}{{template "of" (index $labels "owner")}}{{template "of" (index $labels "name")}}{{else}}{{"\t\t\t\t\t"}}{{end}}{{with .metadata.annotations}}{{with index . "meta.helm.sh/release-name"}}{{printf "%q" .}}{{end}}{{"\t"}}{{with index . "helm.sh/resource-policy"}}{{.}}{{end}}{{else}}{{"\t"}}{{end}}{{"\t"}}{{with .metadata.annotations}}{{with index . "kubernetes.io/service-account.name"}}{{.}}{{end}}{{end}}{{"\n"}}{{end}}'

# others CLAIMS: what else is in the namespace, as `kind.group/name`, of every kind that can be listed; CLAIMS is a file with those
# claims that are ours. False, with the reason in $work/error, where not everything can be looked at: then nobody knows.
others() {
  kube api-resources --namespaced --verbs=list -o name >"$work/kinds" 2>"$work/error" || return 1
  # What Kubernetes writes itself, or only shows: events, addresses of Services, measurements, catalogues of packages.
  kinds=$(grep -v -x -e 'events' -e 'events\.events\.k8s\.io' -e 'endpoints' -e 'endpointslices\.discovery\.k8s\.io' \
    -e '.*\.metrics\.k8s\.io' -e '.*\.packages\.operators\.coreos\.com' "$work/kinds" | paste -s -d , -)
  [ -n "$kinds" ] || { echo 'the API server names no kinds' >"$work/error" && return 1; }
  kube get "$kinds" -n "$namespace" -o go-template="$holds_template" >"$work/holds" 2>"$work/error" || return 1
  not_ours "$1" <"$work/holds"
}

# not_ours CLAIMS < lines of holds_template: those objects that neither the release nor Kubernetes has made.
# What belongs to an object that is listed goes and stays with it: that one is looked at.
not_ours() {
  awk -F '\t' -v release="$release" -v claims="$1" '
    BEGIN { while ((getline line <claims) > 0) { sub(/^persistentvolumeclaim\//, "", line); ours_claim[line] = 1 } }
    function is_ours() {
      if ($2 == "PersistentVolumeClaim") return $3 in ours_claim
      # Kept on purpose when the release goes.
      if ($13 == "keep") return 0
      if ($12 == "\"" release "\"") return 1
      if ($7 == "watchingcat" && $8 == release) return 1
      # Helm keeps its releases there. The lease is made by the pods.
      if (($2 == "Secret" || $2 == "ConfigMap") && $10 == "helm" && $11 == release && index($3, "sh.helm.release.v1." release ".v") == 1) return 1
      return $2 == "Lease" && $3 == "watchingcat-otel-deployment"
    }
    function is_of_kubernetes() {
      if ($1 != "v1") return 0
      if ($2 == "ServiceAccount") return $3 == "default"
      if ($2 == "ConfigMap") return $3 == "kube-root-ca.crt"
      # The token that each ServiceAccount had before 1.24, and that goes with it.
      return $2 == "Secret" && $14 != "" && index($3, $14 "-token-") == 1
    }
    # One object may be there under several groups.
    !($4 in seen) {
      seen[$4] = 1
      if ($6 == "goes" || is_ours() || is_of_kubernetes()) next
      group = $1; if (sub(/\/.*/, "", group)) group = "." group; else group = ""
      name[++n] = tolower($2) group "/" $3; owners[n] = $5
    }
    END {
      for (i = 1; i <= n; i++) {
        count = split(owners[i], owner, ","); belongs = 0
        for (o = 1; o <= count; o++) if (owner[o] in seen && owner[o] != "") belongs = 1
        if (!belongs) print name[i]
      }
    }' | sort
}
