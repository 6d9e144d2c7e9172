#!/bin/sh
# backup.sh PG_BIN: dumps come back with every row, and broken ones are refused. Starts a
# server of its own; run it as a user that is not root.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 PG_BIN" >&2; exit 2; }
tools=$(cd "$(dirname "$0")/../tools" && pwd)
work=$(mktemp -d)
PATH=$1:$PATH PGHOST=$work PGPORT=${PORT:-54433} PGUSER=postgres
export PATH PGHOST PGPORT PGUSER
trap 'pg_ctl -D "$work/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
failed=0
expect() { if [ "$2" = "$3" ]; then echo "ok   $1"; else echo "FAIL $1: expected $2, got $3"; failed=1; fi; }
rc() { "$@" >"$work/out" 2>&1 && echo 0 || echo $?; }
sql() { psql -XAtq -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }

initdb -D "$work/data" -U postgres -A trust >/dev/null
pg_ctl -D "$work/data" -w -o "-p $PGPORT -k $work -c listen_addresses=" -l "$work/log" start >/dev/null
for name in shop copy broken; do sql postgres "CREATE DATABASE $name"; done
sql shop "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 100000) i"
expect "a backup is made" 0 "$(rc "$tools/backup-postgres.sh" shop "$work/shop.dump")"
expect "it overwrites nothing" 1 "$(rc "$tools/backup-postgres.sh" shop "$work/shop.dump")"
expect "it is restored" 0 "$(rc "$tools/restore-postgres.sh" "$work/shop.dump" copy)"
query="SELECT count(*), md5(string_agg(md5, '' ORDER BY i)) FROM t"
expect "every row is there" "$(sql shop "$query")" "$(sql copy "$query")"
expect "a database with tables is refused" 1 "$(rc "$tools/restore-postgres.sh" "$work/shop.dump" copy)"
sql copy "DELETE FROM t"
expect "or replaced" 0 "$(rc "$tools/restore-postgres.sh" "$work/shop.dump" copy --replace)"
expect "with every row" "$(sql shop "$query")" "$(sql copy "$query")"
head -c 100000 "$work/shop.dump" >"$work/cut.dump"
expect "half a dump fails" 1 "$(rc "$tools/restore-postgres.sh" "$work/cut.dump" broken)"
expect "and leaves nothing" 0 "$(sql broken "SELECT count(*) FROM pg_class WHERE relname = 't'")"
echo nonsense >"$work/no.dump"
expect "what is no dump is refused" 1 "$(rc "$tools/restore-postgres.sh" "$work/no.dump" broken)"
expect "no backup of what is not there" 1 "$(rc "$tools/backup-postgres.sh" nothing "$work/nothing.dump")"
expect "and no file of it" "no" "$([ -e "$work/nothing.dump" ] || [ -e "$work/nothing.dump.part" ] && echo yes || echo no)"
exit "$failed"
