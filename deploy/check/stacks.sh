#!/bin/sh
# stacks.sh AGENT PG_BIN: starts a primary and a smaller standby as the stacks do, with their
# own entrypoint, settings and roles, but without containers. Run it as a user that is not root;
# AGENT is the program pganalytics-agent, PG_BIN a folder with PostgreSQL's programs. Where that
# has no pg_basebackup there is no standby, and psql comes from PATH.
# Not looked at here: images, networks, compose files (their tests are in pganalytics-testkit),
# and PgBouncer; deploy/test/stack.sh has them.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 AGENT PG_BIN" >&2; exit 2; }
here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
AGENT=$1
PATH=$2:$PATH
export AGENT PATH
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"

stop() {
  for file in "$work"/*/var/lib/postgresql/pgdata/postmaster.pid; do
    [ -f "$file" ] || continue
    pid=$(head -n 1 "$file")
    kill -INT "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
  done
  rm -rf "$work"
}
trap stop EXIT

folder() { # STACK: a root folder with what its compose file mounts
  configs=$work/$1/etc/pganalytics-stack
  mkdir -p "$configs" "$work/$1/var/lib/postgresql"
  cp "$here"/deploy/stacks/shared/*.conf "$configs/"
  sed "s|/etc/pganalytics-stack|$configs|" "$here/deploy/stacks/$1/configs/postgresql.conf" >"$configs/postgresql.conf"
}

start() { # STACK PORT: by the arguments of its entrypoint
  ROOT=$work/$1 PGDATA=$work/$1/var/lib/postgresql/pgdata
  export ROOT PGDATA
  "$here/deploy/images/entrypoints/postgres.sh" prepare >"$work/$1.args"
  log_line=$(head -n 1 "$work/$1.args")
  args=$(tail -n +3 "$work/$1.args") # behind the log line and the word postgres
  IFS='
'
  # shellcheck disable=SC2086 # one argument a line
  set -- "$1" "$2" $args
  unset IFS
  stack=$1 on=$2
  shift 2
  postgres -D "$PGDATA" "$@" -c port="$on" -c unix_socket_directories="$work" >"$work/$stack.log" 2>&1 &
  tries=0
  until pg_isready -q -h "$work" -p "$on"; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { cat "$work/$stack.log"; echo "FAIL $stack does not start"; exit 1; }
    sleep 0.2
  done
}

port=${PORT:-54431} standby=${STANDBY_PORT:-54432}
export PGHOST="$work" PGPORT="$port" PGCONNECT_TIMEOUT=5
sql() { psql -XAt -U postgres -p "$1" -d postgres -c "$2"; }

folder primary
initdb -D "$work/primary/var/lib/postgresql/pgdata" -U postgres -A trust >/dev/null
# Every character that has broken a password somewhere.
odd="@:/#'&\"\\\$% x"
export PG_REPLICATION_PASSWORD="repl-$odd-1234" PGBOUNCER_AUTH_PASS="pool-$odd-1234" PGANALYTICS_MONITOR_PASSWORD="moni-$odd-1234"
POSTGRES_MEMORY=2048
export POSTGRES_MEMORY
start primary "$port"
case $log_line in "[POSTGRES] [AUTO-CONFIG] RAM: 2048MB (manual), CPU: "*) seen=yes ;; *) seen=$log_line ;; esac
expect "the log begins with the advice" yes "$seen"
"$here/deploy/stacks/shared/initdb/10-roles.sh"
expect "passwords are kept as SCRAM" "3" "$(sql "$port" "SELECT count(*) FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256\$%'")"
expect "no password is in the log" "0" "$(grep -c -e 'CREATE ROLE' -e 'moni-@' "$work/primary.log" || true)"
expect "pg_hba.conf has no error" "0" "$(sql "$port" "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL")"
as() { PGPASSWORD=$2 psql -XAt -h 127.0.0.1 -U "$1" -d "$3" -c "$4" 2>&1 | tail -n 1; }
expect "the monitor logs in and may not look up passwords" "t|f" \
  "$(as pganalytics_monitor "$PGANALYTICS_MONITOR_PASSWORD" postgres "SELECT pg_has_role('pg_monitor', 'member'), has_function_privilege('public.pgbouncer_lookup(text)', 'execute')")"
expect "the pooler looks up one user" "1" \
  "$(as pgbouncer_auth "$PGBOUNCER_AUTH_PASS" postgres "SELECT count(*) FROM public.pgbouncer_lookup('pganalytics_monitor')")"
case $(as pgbouncer_auth "$PGBOUNCER_AUTH_PASS" template1 "SELECT 1") in *"rejects connection"*) seen=rejected ;; *) seen=admitted ;; esac
expect "the pooler reaches no other database" rejected "$seen"
expect "PostgreSQL takes every setting" "$(postgres --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')|0" \
  "$(sql "$port" "SELECT current_setting('server_version_num')::int / 10000, count(*) FROM pg_file_settings WHERE error IS NOT NULL")"
expect "the primary is healthy" 0 "$("$here/deploy/images/entrypoints/stack-health" >/dev/null 2>&1; echo $?)"

if [ ! -x "$2/pg_basebackup" ]; then
  not_here "a standby: $2 has no pg_basebackup"
  summary
  exit
fi
folder replica
export POSTGRES_ROLE=replica PRIMARY_HOST=127.0.0.1 PRIMARY_PORT="$port" POSTGRES_MEMORY=512
start replica "$standby"
expect "a smaller standby has the connections of its primary" "$(sql "$port" "SHOW max_connections")" "$(sql "$standby" "SHOW max_connections")"
tries=0
until [ "$(sql "$port" "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")" = 1 ] || [ "$tries" -ge 50 ]; do
  tries=$((tries + 1)); sleep 0.2
done
expect "it streams under its name" "replica1|streaming" "$(sql "$port" "SELECT application_name, state FROM pg_stat_replication")"
expect "its slot is in use" "replica_slot_1|t" "$(sql "$port" "SELECT slot_name, active FROM pg_replication_slots")"
expect "the standby is healthy" 0 "$(PGPORT=$standby "$here/deploy/images/entrypoints/stack-health" >/dev/null 2>&1; echo $?)"
expect "nothing of the clone is left beside it" "no" "$([ -e "$work/replica/var/lib/postgresql/pgdata.new" ] && echo yes || echo no)"

sql "$port" "ALTER SYSTEM SET synchronous_standby_names = 'replica1'" >/dev/null
sql "$port" "SELECT pg_reload_conf()" >/dev/null
tries=0
until [ "$(sql "$port" "SELECT sync_state FROM pg_stat_replication")" = sync ] || [ "$tries" -ge 50 ]; do
  tries=$((tries + 1)); sleep 0.2
done
expect "synchronous by its name" "sync" "$(sql "$port" "SELECT sync_state FROM pg_stat_replication")"

summary
