#!/usr/bin/env bash
# openapi.sh SERVER-PROGRAM: sends a server requests that its own OpenAPI document says make sense,
# and many that it says do not (schemathesis). Every answer must be one that the document tells of.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 SERVER-PROGRAM" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
tools=$("$here/../setup/fetch-tools.sh" --where)
[ -d "$tools/schemathesis" ] || { echo "openapi.sh: schemathesis is missing; run deploy/setup/fetch-tools.sh openapi" >&2; exit 1; }
work=$(mktemp -d)
server=
stop() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"; }
trap stop EXIT
password=$(head -c 18 /dev/urandom | base64)
secret=$(head -c 30 /dev/urandom | base64)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# It is to be answered, not slowed down.
unlimited=()
for class in PUBLIC HEALTH LOGIN READ QUERY WRITE PUSH PAGE; do unlimited+=("PGANALYTICS_RATE_LIMIT_$class=0"); done
mkdir "$work/data"
env "${unlimited[@]}" PGANALYTICS_DATA_DIR="$work/data" PGANALYTICS_ADMIN_USERNAME=admin PGANALYTICS_ADMIN_PASSWORD="$password" \
  REGISTRATION_SECRET="$secret" PORT="$port" "$1" serve --ui-port 0 >"$work/log" 2>&1 &
server=$!
url=http://127.0.0.1:$port
for _ in $(seq 150); do curl -fso /dev/null "$url/api/v1/health" && break; sleep 0.2; done
login=$(printf '{"username":"admin","password":"%s"}' "$password")
token=$(curl -fsS "$url/api/v1/auth/login" -H 'Content-Type: application/json' -d "$login" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])') || { cat "$work/log" >&2; exit 1; }
# Headers in a file: arguments are there for all to see.
cat >"$work/schemathesis.toml" <<EOF
[auth.openapi.bearer]
bearer = "$token"
[auth.openapi.registration_secret]
api_key = "$secret"
EOF
curl -fsS "$url/api/v1/openapi.json" >"$work/openapi.json"
cd "$work"
# The same requests each time, so that a check that fails fails again; SEED=... draws others.
random=(--generation-deterministic)
[ -z "${SEED:-}" ] || random=(--seed "$SEED" --generation-database none)
# Log-out and a new password would end the log-in that all others need.
status=0
PYTHONPATH="$tools/schemathesis" python3 -m schemathesis.cli --config-file "$work/schemathesis.toml" run "$work/openapi.json" --origin "$url" \
  --exclude-path-regex 'auth/(logout|change-password)$' --phases examples,coverage,fuzzing \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,ignored_auth \
  "${random[@]}" --max-examples "${EXAMPLES:-25}" --continue-on-failure --warnings off --no-color || status=$?
if grep -qi panic "$work/log"; then
  echo "openapi.sh: the server panicked" >&2
  grep -i -A5 panic "$work/log" >&2
  status=1
fi
kill -0 "$server" 2>/dev/null || { echo "openapi.sh: the server is gone" >&2; tail -5 "$work/log" >&2; status=1; }
exit "$status"
