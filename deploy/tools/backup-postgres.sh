#!/bin/sh
# backup-postgres.sh [DATABASE [FILE]]: one database into a file that pg_restore reads.
# Where the server is and who asks: PGHOST, PGPORT, PGUSER, PGPASSWORD or ~/.pgpass.
# The dump is written beside FILE, checked, and renamed: what is called FILE is whole.
set -eu
umask 077
[ $# -le 2 ] || { echo "usage: $0 [DATABASE [FILE]]" >&2; exit 2; }
database=${1:-postgres}
file=${2:-backup_${database}_$(date -u +%Y%m%dT%H%M%SZ).dump}
part=$file.part log=$file.log

[ ! -e "$file" ] || { echo "$file is there already; nothing was done" >&2; exit 1; }
[ -d "$(dirname "$file")" ] || { echo "there is no folder $(dirname "$file")" >&2; exit 1; }
trap 'rm -f "$part"' EXIT
# What pg_dump says goes into a log, never into the dump.
if ! pg_dump -Fc --no-password --verbose -f "$part" -d "$database" 2>"$log"; then
  tail -n 3 "$log" >&2
  echo "no backup was made; all that pg_dump said is in $log" >&2
  exit 1
fi
pg_restore --list "$part" >/dev/null || { echo "the dump cannot be read back; no backup was made" >&2; exit 1; }
mv "$part" "$file"
rm -f "$log"
echo "$file: $(wc -c <"$file") bytes, $(pg_restore --list "$file" | grep -c ' TABLE DATA ' || true) tables with data"
