#!/bin/sh
# load.sh PROGRAMS [SECONDS]: the loads of the production guide against a server in a process of
# its own, each push stored once, none failed, as quick as the guide says. SECONDS instead of the
# guide's durations (about eight minutes in all). PROGRAMS has release builds of
# pganalytics-server and pganalytics-load-test; figures mean something on a machine that does
# nothing else.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 PROGRAMS [SECONDS]" >&2; exit 2; }
programs=$(cd "$1" && pwd) seconds=${2:-}
# shellcheck source=deploy/check/lib.sh
. "$(dirname "$0")/lib.sh"
[ -x "$programs/pganalytics-load-test" ] || { not_here "pganalytics-load-test: cargo build --release -p pganalytics-benches --bins"; summary; exit; }
work=$(mktemp -d)
port=${PORT:-54480} server=""
trap 'kill $server 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
export PORT="$port" UI_PORT=0 LOG_LEVEL=warn PGANALYTICS_DATA_DIR="$work/data" PGANALYTICS_RATE_LIMIT_READ=0
"$programs/pganalytics-server" user add load --role user >/dev/null
PGANALYTICS_TOKEN=$("$programs/pganalytics-server" token add load --user load --scope push --scope read)
export PGANALYTICS_TOKEN
"$programs/pganalytics-server" serve >"$work/log" 2>&1 &
server=$!
ready() { "$programs/pganalytics-server" health; }
until_true 30 ready || { bad "the server does not start: $(tail -n 3 "$work/log")"; summary; exit 1; }
# The token in a file: other users see the command line.
(umask 077; printf 'header = "Authorization: Bearer %s"\n' "$PGANALYTICS_TOKEN" >"$work/login")
rows() { curl -fsS -K "$work/login" "http://127.0.0.1:$port/api/v1/metrics" | tr '{' '\n' | sed -n 's/.*"rows":\([0-9]*\).*/\1/p' | awk '{sum += $1} END {print sum + 0}'; }

load() { # COLLECTORS SECONDS VALUES [MOST_AVERAGE MOST_P95]
  what="$1 collectors, $3 values a second each"
  before=$(rows)
  if "$programs/pganalytics-load-test" --backend "http://127.0.0.1:$port" --collectors "$1" --duration "${seconds:-$2}" --interval 1 --metrics "$3" >"$work/said" 2>"$work/errors"; then
    ok "$what: $(sed -n 's/^pushes *//p' "$work/said"), $(sed -n 's/^success *//p' "$work/said") taken"
  else
    bad "$what: $(cat "$work/said" "$work/errors" | tail -n 3)"
  fi
  # A row has 25 values.
  expect "$what: rows stored are those that were sent" "$(sed -n 's/^values *\([0-9]*\).*/\1/p' "$work/said" | awk '{print $1 / 25}')" "$(($(rows) - before))"
  seen=$(sed -n 's/^latency ms *avg \([0-9.]*\) .* p95 \([0-9.]*\) .*/\1 \2/p' "$work/said")
  if echo "$seen ${4:-1e9} ${5:-1e9}" | awk '{exit !($1 <= $3 && $2 <= $4)}'; then ok "$what: ${seen% *} ms on average, 95 % within ${seen#* } ms${4:+ ($4 and $5 are allowed)}"
  else bad "$what: ${seen% *} ms on average, 95 % within ${seen#* } ms; $4 and $5 are allowed"; fi
}
load 10 120 50 14.8 19.1
load 20 60 100 29.5 36.1
load 5 60 50
load 20 120 50
load 50 60 50
load 500 60 50
memory=$(awk '/^VmRSS/ {printf "%d", $2 / 1000}' "/proc/$server/status")
echo "the server has $memory MB of memory"
summary
