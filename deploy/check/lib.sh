# For the scripts beside: counts what passed. Source it, call expect, end with `summary`.
# shellcheck shell=sh
passed=0 failed=0 impossible=""

ok() { passed=$((passed + 1)); echo "ok   $1"; }
bad() { failed=$((failed + 1)); echo "FAIL $1"; }
expect() { # WHAT EXPECTED SEEN
  if [ "$2" = "$3" ]; then ok "$1"; else bad "$1: expected '$2', got '$3'"; fi
}
holds() { # WHAT COMMAND...: the command succeeds
  what=$1; shift
  if "$@" >/dev/null 2>&1; then ok "$what"; else bad "$what"; fi
}
refuses() { # WHAT COMMAND...: the command fails
  what=$1; shift
  if "$@" >/dev/null 2>&1; then bad "$what"; else ok "$what"; fi
}
until_true() { # SECONDS COMMAND...
  tries=$(($1 * 5)); shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.2
  done
}
# shellcheck disable=SC2034 # summary reads it
not_here() { impossible="$impossible; $1"; echo "--   not possible here: $1"; }
summary() {
  echo "$passed passed, $failed failed${impossible:+, not possible here:${impossible#;}}"
  [ "$failed" -eq 0 ]
}
