#!/bin/sh
# restore-postgres.sh FILE DATABASE [--replace]: puts a dump of backup-postgres.sh into a
# database that is there. One with tables is refused; --replace drops what the dump holds first.
# All or nothing: after an error the database is as it was.
set -eu
case $# in 2 | 3) ;; *) echo "usage: $0 FILE DATABASE [--replace]" >&2; exit 2 ;; esac
file=$1 database=$2 clean=
case ${3:-} in "") ;; --replace) clean="--clean --if-exists" ;; *) echo "$3 is unknown; --replace is all there is" >&2; exit 2 ;; esac
pg_restore --list "$file" >/dev/null || { echo "$file is no whole dump; nothing was changed" >&2; exit 1; }
ask() { psql -XAt -w -v ON_ERROR_STOP=1 -d "$database" -c "$1"; }
tables=$(ask "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind IN ('r', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_toast'")
if [ "$tables" != 0 ] && [ -z "$clean" ]; then
  echo "$database holds $tables tables; nothing was changed. --replace replaces those of the dump" >&2
  exit 1
fi
# shellcheck disable=SC2086 # words without blanks, or nothing
pg_restore --no-password --exit-on-error --single-transaction $clean -d "$database" "$file"
ask ANALYZE >/dev/null
echo "$database is restored; rows by table, as estimated:"
ask "SELECT format('  %s.%s %s', nspname, relname, reltuples::bigint) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 LIMIT 100"
