#!/bin/sh
# production.sh PROGRAMS: a server and an agent as docs/production.md sets them up: secrets from
# files, TLS, production; then doctor --production has nothing to mend, and guide.sh is content.
# Run it as a user that is not root. deb.sh does the same with the units.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 PROGRAMS" >&2; exit 2; }
programs=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/lib.sh"
work=$(mktemp -d)
server="" agent=""
cleanup() {
  # shellcheck disable=SC2086 # numbers, or none
  kill $agent $server 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
ours=$programs/pganalytics-server
"$ours" secrets init --dir secrets --for server >/dev/null
"$ours" certs ca --dir ca >/dev/null
"$ours" certs issue --ca ca --dir tls --host metrics.example.com --host localhost --host 127.0.0.1 >/dev/null
PORT=${PORT:-54460}
export PORT UI_PORT=0 ENVIRONMENT=production LOG_LEVEL=info PGANALYTICS_LISTEN=0.0.0.0 PGANALYTICS_DATA_DIR="$work/data" \
  PGANALYTICS_BACKUP_DIR="$work/backups" TLS_CERT="$work/tls/server.crt" TLS_KEY="$work/tls/server.key" PGANALYTICS_SQL_WORKERS=1 \
  JWT_SECRET_FILE="$work/secrets/server/jwt_secret" REGISTRATION_SECRET_FILE="$work/secrets/server/registration_secret" \
  PGANALYTICS_ADMIN_PASSWORD_FILE="$work/secrets/server/admin_password" PGANALYTICS_SCRAPE_TOKEN_FILE="$work/secrets/server/scrape_token"
"$ours" serve >log 2>&1 &
server=$!
if until_true 30 "$ours" health; then ok "the server starts"; else bad "the server does not start: $(tail -n 3 log)"; summary; exit 1; fi
env -u PORT -u PGANALYTICS_LISTEN COLLECTOR_NAME=col_production BACKEND_URL="https://localhost:$PORT" PGANALYTICS_AGENT_TLS_CA_FILE="$work/ca/ca.crt" \
  PGANALYTICS_AGENT_COLLECTOR_DATA_DIR="$work/agent" COLLECTION_INTERVAL=1 PUSH_INTERVAL=1 EXPORTER_LISTEN="" "$programs/pganalytics-agent" run >agent.log 2>&1 &
agent=$!
pushed() { "$ours" doctor --only flow.any | grep -q '^ok'; }
if until_true 30 pushed; then ok "an agent registers and pushes"; else bad "nothing arrives: $(tail -n 3 agent.log)"; fi
holds "it is backed up" "$ours" backup --keep 14 --verify
if said=$("$ours" doctor --production --host metrics.example.com 2>&1); then ok "doctor --production: $(echo "$said" | tail -n 1)"; else bad "doctor: $(echo "$said" | grep -E -A1 '^FAIL')"; fi
echo "$said" | grep -E '^(WARN|skip)' || true
GUIDE_PASSWORD_FILE=$PGANALYTICS_ADMIN_PASSWORD_FILE SCRAPE_TOKEN_FILE=$PGANALYTICS_SCRAPE_TOKEN_FILE PGANALYTICS_SERVER=$ours
export GUIDE_PASSWORD_FILE SCRAPE_TOKEN_FILE PGANALYTICS_SERVER
if "$here/guide.sh" "https://localhost:$PORT" --cacert "$work/ca/ca.crt" --production --log "$work/log" >guide 2>&1; then ok "guide.sh: $(tail -n 1 guide)"; else bad "guide.sh: $(grep FAIL guide)"; fi
[ "$failed" -eq 0 ] || cat guide
summary
