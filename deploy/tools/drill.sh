#!/bin/sh
# drill.sh PROGRAMS [--keep-artifacts]: what a lost server costs. Starts a server and two agents
# that watch this host, backs the server up while they push, goes on for a while, kills the
# server and deletes its folder, restores the backup into another one, and looks at what is
# there: every scrape from before the backup, agents that are back by themselves, and the gap,
# which is what came between backup and loss. Prints the time without a server (RTO) and the
# time whose data is lost (RPO). PROGRAMS has pganalytics-server and pganalytics-agent; needs
# curl, no root, and touches nothing but a folder of its own.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 PROGRAMS [--keep-artifacts]" >&2; exit 2; }
programs=$(cd "$1" && pwd)
# shellcheck source=deploy/check/lib.sh
. "$(dirname "$0")/../check/lib.sh"
work=$(mktemp -d)
port=${PORT:-54450} base=http://127.0.0.1:${PORT:-54450}/api/v1
agents="" server=""
cleanup() {
  # shellcheck disable=SC2086 # several numbers
  kill $agents $server 2>/dev/null || true
  wait 2>/dev/null || true
  if [ "${keep:-}" = --keep-artifacts ]; then echo "artifacts: $work"; else rm -rf "$work"; fi
}
keep=${2:-}
trap cleanup EXIT
environment() { echo "PATH=/usr/bin:/bin HOME=$work PORT=$port UI_PORT=0 LOG_LEVEL=warn REGISTRATION_SECRET_FILE=$work/secret PGANALYTICS_SQL_WORKERS=1 PGANALYTICS_DATA_DIR=$work/$host"; }
# shellcheck disable=SC2046 # several words, without blanks in them
ours() { env -i $(environment) "$programs/pganalytics-server" "$@"; }
serve() {
  # Not by the function above: its own process would be between, and be killed instead.
  # shellcheck disable=SC2046
  env -i $(environment) "$programs/pganalytics-server" serve >>"$work/server.log" 2>&1 &
  server=$!
}
ready() { curl -fsS "$base/health/ready"; }
now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{printf "%.1f", $1 - $2}'; }
ask() { curl -fsS "$base/sql" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -H 'Accept: text/csv' -d "{\"sql\":\"$1\"}" | tr -d '\r' | sed 1d; }
# Scrapes of a measurement that every host has, until a moment.
scrapes() { ask "select count(*) from sysstat where time <= '$1'"; }

host=first
(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$work/secret")
ours migrate up >/dev/null
ours user add drill --role user >/dev/null
token=$(ours token add drill --user drill --scope read)
serve
until_true 30 ready || { bad "the server does not start: $(tail -n 3 "$work/server.log")"; exit 1; }
for agent in one two; do
  # Two hosts, by their machine's id; all else is this one's.
  mkdir -p "$work/host-$agent/etc"
  ln -s /proc /sys "$work/host-$agent/"
  printf '%s-%s' "$agent" "$(cat "$work/secret")" | md5sum | cut -c1-32 >"$work/host-$agent/etc/machine-id"
  env -i PATH="$programs:/usr/bin:/bin" HOME="$work" LOG_LEVEL=warn COLLECTOR_NAME="$agent" PGANALYTICS_AGENT_COLLECTOR_HOSTNAME="drill-$agent" PGANALYTICS_AGENT_COLLECTOR_HOST_ROOT="$work/host-$agent" BACKEND_URL="http://127.0.0.1:$port" \
    REGISTRATION_SECRET_FILE="$work/secret" PGANALYTICS_AGENT_COLLECTOR_DATA_DIR="$work/agent-$agent" COLLECTION_INTERVAL=1 PUSH_INTERVAL=1 \
    EXPORTER_LISTEN="" "$programs/pganalytics-agent" run >"$work/agent-$agent.log" 2>&1 &
  agents="$agents $!"
done
some() { [ "$(scrapes 2199-01-01 2>/dev/null || echo 0)" -ge "$1" ]; }
if until_true 60 some 12; then ok "two agents have registered, and push"; else bad "nothing arrives: $(tail -n 3 "$work"/agent-*.log)"; exit 1; fi

moment=$(date -u +%Y-%m-%dT%H:%M:%SZ) began=$(now)
# What arrived until then; what is newer may be under way.
before=$(scrapes "$moment")
if ours backup --output "$work/backups/" --keep 3 --verify >"$work/backup.log" 2>&1; then ok "backed up and verified in $(since "$began") s"; else bad "backup: $(cat "$work/backup.log")"; exit 1; fi
sleep 5
last=$(ask "select max(time) from sysstat")

kill -KILL "$server"; wait "$server" 2>/dev/null || true
rm -rf "$work/first"
lost=$(now)
host=second
if ours restore "$work"/backups/*.backup >"$work/restore.log" 2>&1; then ok "restored in $(since "$lost") s"; else bad "restore: $(cat "$work/restore.log")"; exit 1; fi
serve
until_true 30 ready || bad "the restored server does not start: $(tail -n 3 "$work/server.log")"
rto=$(since "$lost")
there=$(scrapes "$moment")
if [ "$there" -ge "$before" ]; then ok "all $before scrapes from before the backup are there"; else bad "of $before scrapes $there are there"; fi
back() { [ "$(ask "select count(distinct collector_id) from sysstat where time > now() - interval '5 seconds'")" = "${1:-2}" ]; }
if until_true 60 back; then ok "both agents are back by themselves"; else bad "the agents do not come back: $(tail -n 3 "$work"/agent-*.log)"; fi
# What came between is with nobody any more, and nothing else is missing: the audit says so.
audit() { ours audit >"$work/audit" 2>&1 || true; grep 'missing: ' "$work/audit" || true; }
settled() { one=$(audit); sleep 1; [ "$one" = "$(audit)" ]; }
until_true 4 settled || bad "the agents' backlog does not come to an end"
gaps=$(grep -c 'missing: ' "$work/audit" || true) pieces=$(grep 'missing: ' "$work/audit" | grep -c ',' || true)
if [ "$gaps" -ge 1 ] && [ "$gaps" -le 2 ] && [ "$pieces" = 0 ]; then ok "audit finds that gap, in one piece for each agent, and nothing else"; else bad "audit: $(cat "$work/audit")"; fi
grep 'missing: ' "$work/audit" | sed 's/^/     /'
newest=$(ask "select time - step from (select time, time - lag(time) over (partition by collector_id order by time) as step from sysstat) s where step is not null order by step desc limit 1")
rpo=$(printf '%s %s' "$(date -d "$last" +%s)" "$(date -d "$newest" +%s)" | awk '{print $1 - $2}')
echo "RTO $rto s: from the loss to a server that is ready. RPO $rpo s: what came after the backup."
summary
