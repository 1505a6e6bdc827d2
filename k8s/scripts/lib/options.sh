# shellcheck shell=sh disable=SC2154,SC2034
# Options that the scripts have in common, and how options are read. What a script has beside them it says in
# `with_value`; what --help prints is its function `usage`.

namespace=observability release=watchingcat context='' dry_run=no yes=no
with_value='--namespace -n --release --context --timeout'

# read_option LEFT ARGUMENT NEXT: of LEFT arguments the first two. Sets `option`, `value` where it has one, and `taken`: how many
# arguments it was.
read_option() {
  option=$2 value='' taken=1
  case $option in
    --?*=*)
      value=${option#*=}
      option=${option%%=*}
      case " $with_value " in *" $option "*) ;; *) usage_error "$option takes no value" ;; esac
      ;;
    *)
      case " $with_value " in *" $option "*) ;; *) return 0 ;; esac
      [ "$1" -gt 1 ] || usage_error "$option needs a value"
      value=$3 taken=2
      ;;
  esac
  [ -n "$value" ] || usage_error "$option needs a value"
}

# Takes `option` where it is one that the scripts have in common.
take_common_option() {
  case $option in
    --namespace | -n) namespace=$value ;;
    --release) release=$value ;;
    --context) context=$value ;;
    --timeout) timeout=$(seconds "$value") || usage_error "--timeout takes a time such as 90s, 10m or 1h, not $value" ;;
    --dry-run) dry_run=yes ;;
    --yes | -y) yes=yes ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) usage_error "there is no option $option" ;;
  esac
}
