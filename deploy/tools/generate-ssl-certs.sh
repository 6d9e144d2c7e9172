#!/bin/sh
# generate-ssl-certs.sh FOLDER [HOST...]: server.crt, server.key and ca.crt for the PostgreSQL of
# a stack, from an authority of your own, which is kept in $CA_DIR (default FOLDER-ca; keep its
# ca.key away from the host). Names are those of the stack, of this host, and each HOST.
# Renew with RENEW=yes; restart or reload the server afterwards.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 FOLDER [HOST...]" >&2; exit 2; }
folder=${1%/}; shift
ca=${CA_DIR:-$folder-ca}
program=${PGANALYTICS_SERVER:-pganalytics-server}
# uid and gid of postgres in the image; PostgreSQL takes a key of its own user with 0600 only.
owner=${OWNER:-999:999}
[ -s "$ca/ca.crt" ] || "$program" certs ca --dir "$ca" --name "${CA_NAME:-PostgreSQL CA}"
set -- postgres postgres-primary postgres-replica postgres-single localhost 127.0.0.1 "$(hostname)" "$@"
for host in "$@"; do
  set -- "$@" --host "$host"
  shift
done
if [ -n "${RENEW:-}" ]; then set -- "$@" --renew; fi
if [ "$(id -u)" = 0 ]; then set -- "$@" --owner "$owner"; fi
"$program" certs issue --ca "$ca" --dir "$folder" "$@"
echo "clients: sslmode=verify-full sslrootcert=$folder/ca.crt"
