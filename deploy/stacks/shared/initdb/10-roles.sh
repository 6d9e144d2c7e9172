#!/bin/sh
# Runs once, when a cluster is made: the roles that the stack needs. A role whose password
# is not given is not made. Passwords go through psql's standard input, so that no process
# list shows them, and are quoted by the server.
set -eu

secret() { # NAME: its value, from NAME_FILE or NAME
  file='' value=''
  eval "file=\${$1_FILE:-} value=\${$1:-}"
  if [ -n "$file" ]; then cat "$file"; else printf '%s' "$value"; fi
}

run() { psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres; }

role() { # NAME PASSWORD OPTIONS
  [ -n "$2" ] || return 0
  # One quote in a literal of SQL is two, and backslashes are plain.
  quoted=$(printf '%s' "$2" | sed "s/'/''/g")
  {
    echo "SET standard_conforming_strings = on; SET log_statement = 'none'; SET log_min_duration_statement = -1;"
    echo "SET password_encryption = 'scram-sha-256';"
    printf "CREATE ROLE %s LOGIN %s PASSWORD '%s';\n" "$1" "$3" "$quoted"
  } | run
}

role replicator "$(secret PG_REPLICATION_PASSWORD)" "REPLICATION NOINHERIT CONNECTION LIMIT 5"
role pgbouncer_auth "$(secret PGBOUNCER_AUTH_PASS)" "NOINHERIT CONNECTION LIMIT 30"
role pganalytics_monitor "$(secret PGANALYTICS_MONITOR_PASSWORD)" "INHERIT CONNECTION LIMIT 8"

run <<'SQL'
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
-- Clients that may look up one password hash each: only PgBouncer.
CREATE FUNCTION public.pgbouncer_lookup(user_name text)
  RETURNS TABLE (username text, password text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
  AS 'SELECT usename::text, passwd::text FROM pg_shadow WHERE usename = user_name';
REVOKE ALL ON FUNCTION public.pgbouncer_lookup(text) FROM PUBLIC;
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgbouncer_auth') THEN
    GRANT EXECUTE ON FUNCTION public.pgbouncer_lookup(text) TO pgbouncer_auth;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pganalytics_monitor') THEN
    GRANT pg_monitor TO pganalytics_monitor;
    ALTER ROLE pganalytics_monitor SET default_transaction_read_only = on;
    ALTER ROLE pganalytics_monitor SET statement_timeout = '30s';
  END IF;
END $$;
SQL
