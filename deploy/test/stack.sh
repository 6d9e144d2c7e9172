#!/bin/sh
# stack.sh FOLDER: the primary stack by its own compose files, images and entrypoints, on podman
# without a daemon: PostgreSQL, PgBouncer and agent, with TLS and with backups, and passwords
# that hold every odd character that compose files can carry. Debian's PostgreSQL 15 stands in
# for the official image, PgBouncer is the one of Debian 13. FOLDER has pganalytics-server and
# pganalytics-agent. Needs what podman.sh needs; about three minutes.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 FOLDER (with pganalytics-server and pganalytics-agent)" >&2; exit 2; }
programs=$(cd "$1" && pwd)
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
  debian_base trixie
  files=$(mktemp -d)
  # shellcheck disable=SC2064 # this folder, whatever the variable holds later
  trap "rm -rf '$files'" EXIT
  mkdir -p "$files/deploy"
  cp -r "$here/deploy/images" "$here/deploy/stacks" "$here/deploy/backup" "$here/deploy/tools" "$files/deploy/"
  strip -o "$files/pganalytics-agent" "$programs/pganalytics-agent"
  engine image exists localhost/postgres:stand-in \
    || build localhost/postgres:stand-in "$here/deploy/test/stand-ins/Containerfile.postgres" "$here/deploy/test/stand-ins"
  build "$image" "$files/deploy/images/Containerfile.postgres" "$files" --build-arg BASE=localhost/postgres:stand-in --build-arg PROGRAM_FROM=context
  build localhost/pganalytics-v3-collector:0.1.0 "$files/deploy/images/Containerfile.agent" "$files" --build-arg PROGRAM_FROM=context
  build localhost/pganalytics-stack-pgbouncer:0.1.0 "$files/deploy/images/Containerfile.pgbouncer" "$files" --build-arg BASE=localhost/debian:trixie-slim
  # As docs/stacks.md says, in a copy of the folder.
  PGANALYTICS_SERVER=$programs/pganalytics-server "$files/deploy/tools/generate-ssl-certs.sh" "$files/deploy/stacks/primary/certs" db1.example.com >/dev/null
  (umask 077; mkdir -p "$files/deploy/stacks/primary/secrets"; head -c 32 /dev/urandom | base64 | tr -d '\n' >"$files/deploy/stacks/primary/secrets/cipher")
  chown -R 999:999 "$files/deploy/stacks/primary/secrets"
  chmod 0755 "$files" "$files/deploy/stacks/primary/certs"
  STACK_INSIDE=$files unshare -n -m "$0" "$programs"
  exit
fi

own_network
wrapper=$(mktemp)
cleanup() {
  engine rm -f -t 2 postgres-primary pganalytics-agent-primary pgbouncer-primary postgres-primary-backup >/dev/null 2>&1 || true
  engine volume rm -f pga_primary_data pga_primary_backup pga_primary_agent pga_primary_run >/dev/null 2>&1 || true
  engine network rm monitoring postgres-primary-net >/dev/null 2>&1 || true
  end_network
  rm -f "$wrapper"
}
trap cleanup EXIT
podman_program "$wrapper"
engine network create monitoring >/dev/null
export POSTGRES_IMAGE="$image" AGENT_IMAGE=localhost/pganalytics-v3-collector:0.1.0 PGBOUNCER_IMAGE=localhost/pganalytics-stack-pgbouncer:0.1.0
export PGBOUNCER_DEFAULT_POOL_SIZE=10
stack=$STACK_INSIDE/deploy/stacks/primary
export POSTGRES_PASSWORD="p@:/#'&-1234567890" PGBOUNCER_AUTH_PASS="b@:/#'&-1234567890" PGANALYTICS_MONITOR_PASSWORD="m@:/#'&-1234567890"
up() { "$compose" --podman-path "$wrapper" -f "$stack/compose.yml" -f "$stack/compose.tls.yml" -f "$stack/compose.backup.yml" up -d --no-deps "$1" >"$ENGINE_DIR/up.log" 2>&1 || { cat "$ENGINE_DIR/up.log"; return 1; }; }
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
up pgbouncer
if until_true 30 healthy pgbouncer-primary; then ok "PgBouncer is healthy"; else bad "PgBouncer is not healthy: $(engine logs pgbouncer-primary 2>&1 | tail -n 3)"; fi
sql "CREATE ROLE app LOGIN PASSWORD 'an app of this test'" >/dev/null
sql "CREATE DATABASE shop OWNER app" >/dev/null
# Clients by name, over the stack's network.
client() { engine exec -e PGPASSWORD="an app of this test" -e PGCONNECT_TIMEOUT=5 postgres-primary psql -XAt "host=$1 port=$2 user=app dbname=shop $3" -c "$4" 2>&1 | tail -n 1; }
expect "clients of PgBouncer are who they are, in any database" "app|shop" "$(client pgbouncer-primary 6432 "" "SELECT current_user, current_database()")"
case $(client pgbouncer-primary 6432 dbname=postgres "SELECT * FROM public.pgbouncer_lookup('app')") in *"permission denied for function"*) ok "they can't look up passwords" ;; *) bad "they look up passwords" ;; esac
expect "PgBouncer reaches PostgreSQL by verified TLS" t "$(sql "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app'")"
for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do client pgbouncer-primary 6432 "" "SELECT pg_sleep(6), $number" >/dev/null & done
pools() { engine exec -e PGPASSWORD="$PGANALYTICS_MONITOR_PASSWORD" postgres-primary psql -XAt "host=pgbouncer-primary port=6432 user=pganalytics_monitor dbname=pgbouncer" -c 'SHOW POOLS' 2>/dev/null | awk -F'|' '$1 == "shop" && $2 == "app" {print $3 " " $4}'; }
queue() { [ "$(pools)" = "10 10" ]; }
if until_true 6 queue; then ok "20 clients on a pool of 10: ten work, ten wait"; else bad "20 clients on a pool of 10: $(pools)"; fi
wait
case $(client postgres-primary 5432 sslmode=disable "SELECT 1") in *"no encryption"* | *"rejects connection"*) ok "without TLS nobody comes in over the network" ;; *) bad "the network is let in without TLS" ;; esac
expect "TLS of libpq, verified by name" t "$(client postgres-primary 5432 "sslmode=verify-full sslrootcert=/etc/postgresql/certs/ca.crt" "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")"

up agent
if until_true 30 healthy pganalytics-agent-primary; then ok "the agent is healthy"; else bad "the agent is not healthy"; fi
figure() { curl -fsS http://127.0.0.1:9187/metrics | grep -x "$1"; }
holds "it logs in with such a password" until_true 20 figure "pg_up 1"
holds "an idle primary lags by nothing" figure "pg_replication_lag_lag_seconds 0"
holds "its connections are counted" figure "pg_connection_usage_max_conn 120"

up backup
if until_true 60 healthy postgres-primary-backup; then ok "the backup service is healthy"; else bad "the backup service is not healthy: $(engine logs postgres-primary-backup 2>&1 | tail -n 3)"; fi
full() { engine exec postgres-primary-backup /opt/backup/backup.sh once full; }
# Its own first steps hold the lock, and the server tries to archive once a minute after three failures.
made=""
for _ in 1 2 3 4; do
  if said=$(full 2>&1); then made=yes; break; fi
  sleep 10
done
if [ -n "$made" ]; then ok "it takes a full backup"; else bad "no full backup: $(echo "$said" | tail -n 3)"; fi
case $said in *WARN*) bad "pgBackRest warns: $(echo "$said" | grep -m 1 WARN)" ;; *) ok "without a warning" ;; esac
case $(engine exec postgres-primary-backup pgbackrest --config=/backup/run/pgbackrest.conf --stanza=main info) in *"status: ok"*"cipher: aes-256-cbc"*"full backup: "*) ok "encrypted, and whole" ;; *) bad "info: $(engine exec postgres-primary-backup pgbackrest --config=/backup/run/pgbackrest.conf --stanza=main info)" ;; esac
expect "WAL is archived without a failure since" 0 "$(sql "SELECT count(*) FROM pg_stat_archiver WHERE last_failed_time > coalesce(last_archived_time, '-infinity')")"
not_here "the official images"
summary
