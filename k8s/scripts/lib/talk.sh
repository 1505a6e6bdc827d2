# shellcheck shell=sh disable=SC2034
# How the scripts talk: on stderr, in colour on a terminal unless NO_COLOR is set. Data go to stdout.

# Exit codes, as those of the command `watchingcat`.
found_problem=1
wrong_usage=2
unreachable=3

# The marks are written as octal numbers, so that every `printf` of a POSIX shell knows them: ✓ ✗ ! →
tick=$(printf '\342\234\223')
cross=$(printf '\342\234\227')
arrow=$(printf '\342\206\222')

on_terminal=no
green='' red='' yellow='' faint='' plain=''
if [ -t 2 ] && [ "${TERM:-dumb}" != dumb ]; then
  on_terminal=yes
  if [ -z "${NO_COLOR:-}" ]; then
    green=$(printf '\033[32m') red=$(printf '\033[31m') yellow=$(printf '\033[33m')
    faint=$(printf '\033[2m') plain=$(printf '\033[0m')
  fi
fi

say() { printf '%s\n' "$*" >&2; }
good() { printf '%s%s%s %s\n' "$green" "$tick" "$plain" "$*" >&2; }
note() { printf '%s!%s %s\n' "$yellow" "$plain" "$*" >&2; }
bad() { printf '%s%s%s %s\n' "$red" "$cross" "$plain" "$*" >&2; }
# What to do about the line above.
hint() { printf '    %s %s\n' "$arrow" "$*" >&2; }
# What somebody else said about the line above, such as the API server.
quote() { printf '%s\n' "$*" | sed -e "s/^/    $faint/" -e "s/\$/$plain/" >&2; }

# stop CODE MESSAGE [WHAT TO DO]
stop() {
  bad "$2"
  [ $# -lt 3 ] || hint "$3"
  exit "$1"
}

usage_error() {
  bad "$1"
  hint "$0 --help"
  exit "$wrong_usage"
}

# confirm QUESTION: true for yes. Asks on a terminal only: elsewhere nobody can answer, and the caller decides.
can_ask() { [ -t 0 ] && [ -t 2 ]; }
confirm() {
  printf '%s [y/N] ' "$1" >&2
  IFS= read -r answer || answer=''
  case $answer in y | Y | yes | Yes | YES) return 0 ;; *) return 1 ;; esac
}

# One line of what a program said, without empty lines.
one_line() { tr '\n\t' '  ' | sed -e 's/  */ /g' -e 's/^ //' -e 's/ $//'; }

# seconds TIME: 90s, 10m, 1h or a number of seconds, as a number. False for anything else.
seconds() {
  case $1 in
    *[!0-9smh]* | '' | [smh]*) return 1 ;;
    *s) echo "$((${1%s}))" ;;
    *m) echo "$((${1%m} * 60))" ;;
    *h) echo "$((${1%h} * 3600))" ;;
    *) echo "$1" ;;
  esac 2>/dev/null
}
