#!/bin/sh
# certs.sh SERVER PG_BIN: certificates of generate-ssl-certs.sh are taken by libpq with
# verify-full, by name and address; what is wrong is told apart. SERVER is the program
# pganalytics-server. Starts a PostgreSQL; run it as a user that is not root.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 SERVER PG_BIN" >&2; exit 2; }
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
work=$(mktemp -d)
PGANALYTICS_SERVER=$1 PATH=$2:$PATH PGPORT=${PORT:-54435} PGUSER=postgres PGCONNECT_TIMEOUT=5
export PGANALYTICS_SERVER PATH PGPORT PGUSER PGCONNECT_TIMEOUT
trap 'pg_ctl -D "$work/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
generate=$here/deploy/tools/generate-ssl-certs.sh

holds "certificates are made" "$generate" "$work/certs" db.example.com
refuses "they are not overwritten" "$generate" "$work/certs" db.example.com
cp "$work/certs/server.key" "$work/key.before"
holds "unless asked" env RENEW=yes "$generate" "$work/certs" db.example.com
refuses "with a new key" cmp -s "$work/key.before" "$work/certs/server.key"
initdb -D "$work/data" -U postgres -A trust >/dev/null
pg_ctl -D "$work/data" -w -l "$work/log" -o "-p $PGPORT -k $work -c listen_addresses=127.0.0.1 -c ssl=on -c ssl_cert_file=$work/certs/server.crt -c ssl_key_file=$work/certs/server.key" start >/dev/null
ask() { psql -XAtq "host=$1 hostaddr=127.0.0.1 dbname=postgres sslmode=verify-full sslrootcert=$2" -c 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()' 2>&1; }
for host in localhost 127.0.0.1 postgres-primary db.example.com; do
  expect "libpq takes it for $host" t "$(ask "$host" "$work/certs/ca.crt")"
done
case $(ask evil.example "$work/certs/ca.crt") in *"does not match"*) ok "but not for another name" ;; *) bad "another name is taken" ;; esac
CA_DIR=$work/other "$generate" "$work/others" >/dev/null
case $(ask localhost "$work/others/ca.crt") in *"verify failed"*) ok "nor with another authority" ;; *) bad "another authority is taken" ;; esac

check() { "$PGANALYTICS_SERVER" certs check --cert "$work/certs/server.crt" --key "$1" --ca "$2" --host "$3" 2>&1 || true; }
tells() { case $3 in *"$2"*) ok "$1" ;; *) bad "$1: $3" ;; esac; }
tells "certs check finds nothing" "is good" "$(check "$work/certs/server.key" "$work/certs/ca.crt" localhost)"
tells "or another authority" "was not made by" "$(check "$work/certs/server.key" "$work/others/ca.crt" localhost)"
tells "or another name" "is not for" "$(check "$work/certs/server.key" "$work/certs/ca.crt" evil.example)"
tells "or another key" "is not the key of" "$(check "$work/others/server.key" "$work/certs/ca.crt" localhost)"
chmod 0644 "$work/certs/server.key"
tells "or a key that all can read" "every user" "$(check "$work/certs/server.key" "$work/certs/ca.crt" localhost)"
summary
