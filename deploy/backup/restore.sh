#!/bin/sh
# restore.sh --target 'YYYY-MM-DD HH:MM:SS+00' [--yes]: puts the cluster back to a moment. The
# server must be stopped. The present folder is kept beside, as PGDATA.before-N. Afterwards start
# the server: it replays, and becomes writable at the target.
# Uses the configuration that backup.sh made.
set -eu
target="" sure=""
while [ $# -gt 0 ]; do
  case $1 in
    --target) target=${2:?a time}; shift 2 ;;
    --yes) sure=yes; shift ;;
    *) echo "usage: $0 --target 'YYYY-MM-DD HH:MM:SS+00' [--yes]" >&2; exit 2 ;;
  esac
done
[ -n "$target" ] || { echo "--target: to which moment?" >&2; exit 2; }
# Without its offset it would mean another moment on another host.
case $target in *[+-][0-9][0-9] | *[+-][0-9][0-9]:[0-9][0-9]) ;; *) echo "--target: give the offset too, as +00" >&2; exit 2 ;; esac
PGDATA=${PGDATA:-/var/lib/postgresql/pgdata} RUN=${RUN:-/tmp/pgbackrest}
CONFIG=${CONFIG:-$RUN/pgbackrest.conf}
if [ -s "$PGDATA/postmaster.pid" ] && kill -0 "$(head -n 1 "$PGDATA/postmaster.pid")" 2>/dev/null; then
  echo "the server of $PGDATA runs; stop it first. Nothing was changed" >&2
  exit 1
fi
pgbackrest --config="$CONFIG" --stanza=main info >/dev/null || { echo "there is no backup; nothing was changed" >&2; exit 1; }
if [ -z "$sure" ]; then
  printf 'Put %s back to %s? The present state is kept beside. yes/no: ' "$PGDATA" "$target"
  read -r answer
  [ "$answer" = yes ] || { echo "nothing was changed"; exit 1; }
fi
number=1
while [ -e "$PGDATA.before-$number" ]; do number=$((number + 1)); done
mv "$PGDATA" "$PGDATA.before-$number"
if ! pgbackrest --config="$CONFIG" --stanza=main --type=time --target="$target" --target-action=promote \
  --pg1-path="$PGDATA" restore; then
  rm -rf "$PGDATA"
  mv "$PGDATA.before-$number" "$PGDATA"
  echo "the restore failed; all is as it was" >&2
  exit 1
fi
echo "restored; start the server. What was there is in $PGDATA.before-$number"
