#!/bin/sh
# Starts the PgBouncer of a stack. `pgbouncer.sh prepare` writes the files and stops.
set -eu
umask 077
RUN=${RUN:-/tmp}
TEMPLATE=${TEMPLATE:-/etc/pganalytics-stack/pgbouncer.ini.tmpl}

die() { echo "[PGBOUNCER] FATAL: $*" >&2; exit 1; }

password=${PGBOUNCER_AUTH_PASS:-}
[ -z "${PGBOUNCER_AUTH_PASS_FILE:-}" ] || password=$(cat "$PGBOUNCER_AUTH_PASS_FILE")
[ -n "$password" ] || die "PGBOUNCER_AUTH_PASS is empty; set it in .env"
case $password in *"
"*) die "PGBOUNCER_AUTH_PASS holds a line break" ;; esac

sslmode=${PGBOUNCER_SERVER_SSLMODE:-prefer}
case $sslmode in
  disable | allow | prefer | require | verify-ca | verify-full) ;;
  *) die "PGBOUNCER_SERVER_SSLMODE: $sslmode is none of disable, allow, prefer, require, verify-ca, verify-full" ;;
esac
ca=
case $sslmode in verify-*) ca="server_tls_ca_file = ${PGBOUNCER_SERVER_TLS_CA:-/etc/postgresql/certs/ca.crt}" ;; esac

number() { # NAME DEFAULT
  value=''
  eval "value=\${$1:-$2}"
  case $value in "" | *[!0-9]*) die "$1: $value is no number" ;; esac
  printf '%s' "$value"
}
clients=$(number PGBOUNCER_MAX_CLIENT_CONN 200)
pool=$(number PGBOUNCER_DEFAULT_POOL_SIZE 25)
host=${PGBOUNCER_SERVER_HOST:-postgres}
case $host in *[!a-zA-Z0-9.:_-]*) die "PGBOUNCER_SERVER_HOST: $host is no host name" ;; esac

# In .pgpass \ and : are escaped; in the list of users " is doubled.
escaped=$(printf '%s' "$password" | sed -e 's/\\/\\\\/g' -e 's/:/\\:/g')
for place in "$host:5432" localhost:6432 pgbouncer:6432; do
  printf '%s:postgres:pgbouncer_auth:%s\n' "$place" "$escaped"
done >"$RUN/.pgpass"
printf '"pgbouncer_auth" "%s"\n' "$(printf '%s' "$password" | sed 's/"/""/g')" >"$RUN/userlist.txt"

sed -e "s|\${PGBOUNCER_SERVER_HOST}|$host|" -e "s|\${RUN}|$RUN|" \
  -e "s|\${PGBOUNCER_SERVER_SSLMODE}|$sslmode|" -e "s|\${SERVER_TLS_CA}|$ca|" \
  -e "s|\${PGBOUNCER_MAX_CLIENT_CONN}|$clients|" -e "s|\${PGBOUNCER_DEFAULT_POOL_SIZE}|$pool|" \
  "$TEMPLATE" >"$RUN/pgbouncer.ini"
[ "${1:-}" != prepare ] || exit 0
exec pgbouncer "$RUN/pgbouncer.ini"
