#!/bin/sh
# stack.sh AGENT: the primary stack by its own compose file, image and entrypoint, on podman
# without a daemon: PostgreSQL and the agent, with passwords that hold every odd character that
# compose files can carry. Debian's PostgreSQL 15 stands in for the official image; PgBouncer is
# not started. AGENT is the program pganalytics-agent. Needs what podman.sh needs.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 AGENT" >&2; exit 2; }
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
# shellcheck source=deploy/test/engine.sh
. "$here/deploy/test/engine.sh"
compose=${PODMAN_COMPOSE:-podman-compose}
if ! has_engine || ! command -v "$compose" >/dev/null || ! command -v iptables >/dev/null; then
  not_here "podman, runc, mmdebstrap, iptables and podman-compose as root"; summary; exit
fi
image=localhost/pganalytics-stack-postgres:0.1.0-pg15
if [ -z "${STACK_INSIDE:-}" ]; then
  debian_base
  files=$(mktemp -d)
  # shellcheck disable=SC2064 # this folder, whatever the variable holds later
  trap "rm -rf '$files'" EXIT
  mkdir -p "$files/deploy"
  cp -r "$here/deploy/images" "$here/deploy/stacks" "$files/deploy/"
  strip -o "$files/pganalytics-agent" "$1"
  engine image exists localhost/postgres:stand-in \
    || build localhost/postgres:stand-in "$here/deploy/test/stand-ins/Containerfile.postgres" "$here/deploy/test/stand-ins"
  build "$image" "$files/deploy/images/Containerfile.postgres" "$files" --build-arg BASE=localhost/postgres:stand-in --build-arg PROGRAM_FROM=context
  build localhost/pganalytics-v3-collector:0.1.0 "$files/deploy/images/Containerfile.agent" "$files" --build-arg PROGRAM_FROM=context
  STACK_INSIDE=yes unshare -n -m "$0" "$1"
  exit
fi

ip link set lo up
mount -t tmpfs tmpfs /run/netns 2>/dev/null || true
wrapper=$(mktemp)
cleanup() {
  engine rm -f -t 2 postgres-primary pganalytics-agent-primary >/dev/null 2>&1 || true
  engine volume rm -f pga_primary_data pga_primary_backup pga_primary_agent >/dev/null 2>&1 || true
  engine network rm monitoring postgres-primary-net >/dev/null 2>&1 || true
  rm -f "$wrapper"
}
trap cleanup EXIT
podman_program "$wrapper"
engine network create monitoring >/dev/null
export POSTGRES_IMAGE="$image" AGENT_IMAGE=localhost/pganalytics-v3-collector:0.1.0
export POSTGRES_PASSWORD="p@:/#'&-1234567890" PGBOUNCER_AUTH_PASS="b@:/#'&-1234567890" PGANALYTICS_MONITOR_PASSWORD="m@:/#'&-1234567890"
up() { "$compose" --podman-path "$wrapper" -f "$here/deploy/stacks/primary/compose.yml" up -d --no-deps "$1" >"$ENGINE_DIR/up.log" 2>&1 || { cat "$ENGINE_DIR/up.log"; return 1; }; }
healthy() { engine healthcheck run "$1"; }
sql() { engine exec postgres-primary psql -XAtU postgres -c "$1"; }
up postgres
if until_true 40 healthy postgres-primary; then ok "PostgreSQL is healthy"; else bad "PostgreSQL is not healthy: $(engine logs postgres-primary 2>&1 | tail -n 3)"; fi
case $(engine logs postgres-primary 2>&1 | grep -m 1 AUTO-CONFIG) in
  "[POSTGRES] [AUTO-CONFIG] RAM: 2048MB (cgroup-v"[12]"), CPU: "*"shared_buffers=512MB, effective_cache_size=1536MB, "*) ok "the container's limit decides its settings" ;;
  *) bad "the log does not tell the settings" ;;
esac
expect "the server has them" 512MB "$(sql 'SHOW shared_buffers')"
expect "the roles are made" 2 "$(sql "SELECT count(*) FROM pg_roles WHERE rolname IN ('pgbouncer_auth', 'pganalytics_monitor')")"
expect "it runs as postgres" 999 "$(awk '/^Uid/ {print $2}' "/proc/$(engine inspect -f '{{.State.Pid}}' postgres-primary)/status")"
up agent
if until_true 30 healthy pganalytics-agent-primary; then ok "the agent is healthy"; else bad "the agent is not healthy"; fi
figure() { curl -fsS http://127.0.0.1:9187/metrics | grep -x "$1"; }
holds "it logs in with such a password" until_true 20 figure "pg_up 1"
holds "an idle primary lags by nothing" figure "pg_replication_lag_lag_seconds 0"
holds "its connections are counted" figure "pg_connection_usage_max_conn 120"
not_here "the official images; PgBouncer 1.19 or newer"
summary
