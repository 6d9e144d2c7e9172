#!/bin/sh
# What the official image's entrypoint does of what our files lean on: POSTGRES_PASSWORD(_FILE),
# POSTGRES_USER, POSTGRES_DB, PGDATA, scripts of /docker-entrypoint-initdb.d at the first start.
set -eu
if [ "$(id -u)" = 0 ]; then
  install -d -o postgres -g postgres -m 0700 "$PGDATA"
  install -d -o postgres -g postgres /var/run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  password=${POSTGRES_PASSWORD:-}
  [ -z "${POSTGRES_PASSWORD_FILE:-}" ] || password=$(cat "$POSTGRES_PASSWORD_FILE")
  [ -n "$password" ] || { echo "POSTGRES_PASSWORD is empty" >&2; exit 1; }
  mkdir -p "$PGDATA"
  umask 077
  printf '%s\n' "$password" >/tmp/pw.$$
  initdb -D "$PGDATA" -U "${POSTGRES_USER:-postgres}" --pwfile=/tmp/pw.$$ -A scram-sha-256 --auth-local=trust >/dev/null
  rm -f /tmp/pw.$$
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  # The server of the first start listens on its socket alone, with the settings of the real one.
  command=$1; shift
  pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' $(printf "'%s' " "$@")" start >/dev/null
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh) sh "$script" ;;
      *.sql) psql -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d "${POSTGRES_DB:-postgres}" -f "$script" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
  set -- "$command" "$@"
fi
exec "$@"
