#!/bin/sh
# Starts the PostgreSQL of a stack: clones a standby, sizes the settings, hands over to the
# image's own entrypoint. $ROOT goes before every path of the container, so that it runs
# without one; `postgres.sh prepare` does all but the last step and prints the arguments.
set -eu
umask 077
ROOT=${ROOT:-}
RUN=${RUN:-$ROOT/run/pganalytics-stack}
CONFIGS=$ROOT/etc/pganalytics-stack
PGDATA=${PGDATA:-$ROOT/var/lib/postgresql/data}
AGENT=${AGENT:-pganalytics-agent}

say() { echo "[POSTGRES] $*" >&2; }
die() { say "FATAL: $*"; exit 1; }

secret() { # NAME: its value, from NAME_FILE or NAME; never empty, of one line
  eval "file=\${$1_FILE:-} value=\${$1:-}"
  [ -z "$file" ] || value=$(cat "$file")
  [ -n "$value" ] || die "$1 is empty; set it in .env"
  case $value in *"
"*) die "$1 holds a line break" ;; esac
  [ "${#value}" -ge 16 ] || say "WARNING: $1 has fewer than 16 characters"
  printf '%s' "$value"
}

# A field of a .pgpass file: \ and : are escaped.
pgpass() { printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e 's/:/\\:/g'; }

clone() { # into an empty folder beside, then by renaming: a broken clone leaves nothing
  password=$(secret PG_REPLICATION_PASSWORD)
  host=${PRIMARY_HOST:?PRIMARY_HOST is required} port=${PRIMARY_PORT:-5432}
  slot=${REPLICATION_SLOT_NAME:-replica_slot_1} name=${REPLICA_NAME:-replica1}
  case $slot$name in *[!a-zA-Z0-9_]*) die "REPLICATION_SLOT_NAME and REPLICA_NAME hold letters, digits and _ only" ;; esac
  # Beside the data, as the standby needs it at every start.
  passfile=$(dirname "$PGDATA")/replicator.pgpass
  printf '%s:%s:*:replicator:%s\n' "$(pgpass "$host")" "$port" "$(pgpass "$password")" >"$passfile"
  [ ! -s "$PGDATA/PG_VERSION" ] || return 0
  tries=0
  until pg_isready -q -h "$host" -p "$port" -t 2; do
    tries=$((tries + 1))
    [ "$tries" -lt 30 ] || die "the primary $host:$port does not answer after 60 s"
    sleep 2
  done
  new=$PGDATA.new
  rm -rf "$new"
  uri="host=$host port=$port user=replicator application_name=$name passfile=$passfile"
  exists=$(psql -XAt "$uri dbname=postgres replication=true" -c "READ_REPLICATION_SLOT $slot" 2>/dev/null | cut -d'|' -f1) || exists=
  create=-C; [ "$exists" != physical ] || create=
  # shellcheck disable=SC2086 # $create is one word or none
  pg_basebackup -D "$new" -d "$uri" -Xs -R $create -S "$slot" -c fast || { rm -rf "$new"; die "the clone failed; nothing is left of it"; }
  rmdir "$PGDATA" 2>/dev/null || [ ! -e "$PGDATA" ] || die "$PGDATA is not empty and no cluster; nothing was changed"
  mv "$new" "$PGDATA"
  say "cloned from $host:$port as $name, slot $slot"
}

limits_of_primary() {
  # Under the C locale: the labels are translated otherwise.
  LC_ALL=C pg_controldata -D "$PGDATA" | sed -n 's/^max_prepared_xacts /max_prepared_transactions /
    s/^max_locks_per_xact /max_locks_per_transaction /
    s/^\(max_[a-z_]*\) setting: *\([0-9]*\)$/\1=\2/p' | paste -s -d, -
}

hba() {
  cidr=${POSTGRES_ALLOW_CIDR:-samenet}
  case $cidr in *[!a-zA-Z0-9.:/]*) die "POSTGRES_ALLOW_CIDR: $cidr is no network; write as 10.10.5.0/24" ;; esac
  host=host; [ "${POSTGRES_SSL:-off}" != on ] || host=hostssl
  sed -e "s|\${POSTGRES_ALLOW_CIDR}|$cidr|" -e "s|\${HOST}|$host|" "${STACK_HBA_FILE:-$CONFIGS/pg_hba.conf}" >"$RUN/pg_hba.conf"
}

mkdir -p "$RUN"
major=$(postgres --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
primary=
if [ "${POSTGRES_ROLE:-primary}" = replica ]; then
  clone
  primary=$(limits_of_primary)
  [ -n "$primary" ] || die "pg_controldata does not tell the limits of the primary; is it of this version of PostgreSQL?"
fi
hba
{
  echo "include '${STACK_CONFIG_FILE:-$CONFIGS/postgresql.conf}'"
  [ "$major" -lt 18 ] || echo "include '$CONFIGS/pg18.conf'"
} >"$RUN/postgresql.conf"

if [ -n "$primary" ]; then
  advice=$("$AGENT" tune --format flags --log --pg "$major" --primary "$primary")
else
  advice=$("$AGENT" tune --format flags --log --pg "$major")
fi
printf '%s\n' "$advice" | head -n 1
flags=$(printf '%s\n' "$advice" | tail -n 1)
[ -z "${POSTGRES_MAX_SLOT_WAL_KEEP_SIZE:-}" ] || flags="$flags -c max_slot_wal_keep_size=$POSTGRES_MAX_SLOT_WAL_KEEP_SIZE"
if [ "${POSTGRES_SSL:-off}" = on ]; then
  certs=$ROOT/etc/postgresql/certs
  [ -r "$certs/server.key" ] || die "$certs/server.key cannot be read by $(id -un); make it with generate-ssl-certs.sh"
  flags="$flags -c ssl=on -c ssl_cert_file=$certs/server.crt -c ssl_key_file=$certs/server.key"
fi
archive=
if [ "${POSTGRES_ARCHIVE:-off}" = on ]; then
  archive="pgbackrest --config=${BACKUP_CONFIG:-/backup/run/pgbackrest.conf} --stanza=main archive-push %p"
fi
# What comes last wins: a caller's own -c.
action=${1:-run}; [ "$action" != prepare ] || shift
# shellcheck disable=SC2086 # the flags are words without blanks
set -- postgres -c config_file="$RUN/postgresql.conf" -c hba_file="$RUN/pg_hba.conf" $flags \
  ${archive:+-c archive_mode=on -c archive_timeout=300 -c} ${archive:+"archive_command=$archive"} "$@"
if [ "$action" = prepare ]; then printf '%s\n' "$@"; else exec docker-entrypoint.sh "$@"; fi
