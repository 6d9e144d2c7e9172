#!/usr/bin/env bash
# Builds the server, starts it with the embedded store and lets it watch a
# PostgreSQL: the one in PG_URL, or a throw-away cluster with a workload.
set -euo pipefail
cd "$(dirname "$0")/../.."
PORT=${PORT:-8080}
PG_URL=${PG_URL:-}
data=${PGANALYTICS_DATA_DIR:-$PWD/.demo/watched}
target=${CARGO_TARGET_DIR:-$PWD/target}

# Without Node, or without a way to the packages, the server has a plain page.
./deploy/setup/ui.sh || echo "demo: the web UI was not built (see above): the server shows its plain page instead."

# Only what the demo runs; with the features of the whole workspace, so that `make test` and this
# share their third-party crates.
if [ ! -x "$target/debug/pganalytics-server" ]; then
  echo "Building the server. The first time this takes about 10 minutes on 2 cores, most of it for the SQL engine."
fi
cargo build --locked --workspace --bin pganalytics-server --bin pganalytics-demo-cluster
cluster=
cleanup() {
  trap - EXIT INT TERM
  [ -n "${server:-}" ] && kill -TERM "$server" 2>/dev/null && wait "$server" 2>/dev/null
  [ -n "$cluster" ] && kill -TERM "$cluster" 2>/dev/null && wait "$cluster" 2>/dev/null
  [ -n "${ready:-}" ] && rm -rf "$ready"
  return 0
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

urls=()
if [ -n "$PG_URL" ]; then
  urls=("$PG_URL")
else
  ready=$(mktemp -d)
  echo "Starting a throw-away PostgreSQL with a workload …"
  # Its stdin stays open as long as this script lives, however it ends.
  mkfifo "$ready/alive"
  exec 3<> "$ready/alive"
  "$target/debug/pganalytics-demo-cluster" < "$ready/alive" > "$ready/out" 3>&- &
  cluster=$!
  for _ in $(seq 1200); do
    grep -q '^PG_URL=' "$ready/out" 2>/dev/null && break
    kill -0 "$cluster" 2>/dev/null || { echo "demo: the throw-away cluster did not start" >&2; exit 1; }
    sleep 0.1
  done
  # Each throw-away cluster is another server; yesterday's would only look dead.
  if [ -z "${PGANALYTICS_DATA_DIR:-}" ]; then
    data=$PWD/.demo/throw-away
    rm -rf "$data"
  fi
  mapfile -t urls < <(sed -n 's/^[A-Z_]*PG_URL=//p;' "$ready/out")
  [ ${#urls[@]} -gt 0 ] || { echo "demo: the throw-away cluster is not ready after two minutes" >&2; exit 1; }
fi

# The address may hold a password: the environment is not shown to other users,
# a command line is.
export PGANALYTICS_MONITOR="${urls[*]}"
export PGANALYTICS_DATA_DIR="$data" PORT COLLECTION_INTERVAL="${COLLECTION_INTERVAL:-10}"
"$target/debug/pganalytics-server" serve 3>&- &
server=$!
wait "$server"
