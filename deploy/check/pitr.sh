#!/bin/sh
# pitr.sh PG_BIN: a table that was dropped comes back at the second before; schedule, encryption
# and refusals. Starts a server of its own; run it as a user that is not root. Needs pgBackRest
# (2.45 knows PostgreSQL up to 15).
set -eu
[ $# -eq 1 ] || { echo "usage: $0 PG_BIN" >&2; exit 2; }
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
command -v pgbackrest >/dev/null || { not_here "pgbackrest is missing"; summary; exit; }
work=$(mktemp -d)
PATH=$1:$PATH PGHOST=$work PGPORT=${PORT:-54434} PGUSER=postgres
PGDATA=$work/pgdata SOCKET=$work REPO=$work/repo RUN=$work/run
export PATH PGHOST PGPORT PGUSER PGDATA SOCKET REPO RUN
trap 'pg_ctl -D "$PGDATA" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
backup=$here/deploy/backup/backup.sh restore=$here/deploy/backup/restore.sh
sql() { psql -XAtq -v ON_ERROR_STOP=1 -d postgres -c "$1"; }
start() { pg_ctl -D "$PGDATA" -w -t 60 -l "$work/log" -o "-p $PGPORT -k $work -c listen_addresses= $1" start >/dev/null; }

expect "Sunday at two" full "$("$backup" due 7 02 00)"
expect "Monday at two" diff "$("$backup" due 1 02 00)"
expect "at 14:00" incr "$("$backup" due 3 14 00)"
expect "at 14:01" "" "$("$backup" due 3 14 01)"
expect "at 05:00" check "$("$backup" due 3 05 00)"
expect "Saturday at four" verify "$("$backup" due 6 04 00)"

initdb -D "$PGDATA" -U postgres -A trust >/dev/null
# Half a secret on disk would be none.
printf 'correct horse battery staple' >"$work/cipher"
export BACKUP_CIPHER_PASS_FILE="$work/cipher"
"$backup" configure
start "-c archive_mode=on -c archive_timeout=300 -c archive_command='pgbackrest --config=$RUN/pgbackrest.conf --stanza=main archive-push %p'"
if "$backup" prepare >"$work/out" 2>&1; then ok "the stanza is made, and WAL arrives"; else bad "prepare: $(tail -n 3 "$work/out")"; fi
sql "CREATE TABLE precious AS SELECT i, md5(i::text) FROM generate_series(1, 50000) i"
holds "a full backup" "$backup" once full
sql "INSERT INTO precious SELECT i, md5(i::text) FROM generate_series(50001, 60000) i"
rows=$(sql "SELECT count(*), md5(string_agg(md5, '' ORDER BY i)) FROM precious")
holds "an incremental backup" "$backup" once incr
sql "CREATE TABLE later AS SELECT 1 AS it"
sleep 1.2
moment=$(sql "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'")
sleep 1.2
sql "DROP TABLE precious"
sql "SELECT pg_switch_wal()" >/dev/null
sleep 1
expect "the repository is encrypted" 0 "$(grep -rc precious "$REPO" 2>/dev/null | grep -cv ':0$' || true)"
refuses "no restore over a server that runs" "$restore" --target "$moment" --yes
refuses "no restore to a moment without its offset" "$restore" --target "2026-01-01 00:00:00" --yes
pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
if "$restore" --target "$moment" --yes >"$work/out" 2>&1; then ok "restored"; else bad "restore: $(tail -n 3 "$work/out")"; fi
start ""
promoted() { [ "$(sql "SELECT pg_is_in_recovery()")" = f ]; }
if until_true 30 promoted; then ok "it is writable again"; else bad "it stays in recovery: $(tail -n 3 "$work/log")"; fi
expect "the dropped table is back with every row" "$rows" "$(sql "SELECT count(*), md5(string_agg(md5, '' ORDER BY i)) FROM precious" 2>&1)"
expect "and so is what came later" 1 "$(sql "SELECT it FROM later")"
expect "on a timeline of its own" 2 "$(sql "SELECT timeline_id FROM pg_control_checkpoint()")"
expect "what was there is kept" yes "$([ -d "$PGDATA.before-1/base" ] && echo yes || echo no)"
summary
