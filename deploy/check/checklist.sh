#!/bin/sh
# checklist.sh [before|build|after]: the boxes of the deployment standard for the platform of
# docker-compose.yml; without a word all three, so after `make docker-build docker-up`.
# ENGINE=docker (or podman, or a program like them). Looks, and changes nothing.
set -eu
engine=${ENGINE:-docker}
phase=${1:-all}
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
command -v "${engine%% *}" >/dev/null || { not_here "$engine"; summary; exit; }
containers="backend:pganalytics-backend postgres:pganalytics-postgres collector:pganalytics-collector-demo"
state() { $engine inspect -f "$1" "$2" 2>/dev/null; }
running() { [ "$(state '{{.State.Running}}' "$1")" = true ]; }
# Without a daemon nobody runs the checks by the clock; podman runs one when asked.
healthy() { [ "$(state '{{.State.Health.Status}}' "$1")" = healthy ] || $engine healthcheck run "$1" >/dev/null 2>&1; }
taken() { ! curl -s -o /dev/null -m 2 "http://127.0.0.1:$1/" && [ $? = 7 ]; }

if [ "$phase" = before ] || [ "$phase" = all ]; then
  holds "before: the engine answers" $engine version
  for port in 8080 4000 5432 9090; do
    if running pganalytics-backend; then break; fi
    holds "before: port $port is free" taken "$port"
  done
  holds "before: .env, if there is one, holds no secret" sh -c "! grep -qE '^[A-Z_]*(PASSWORD|SECRET|TOKEN)[A-Z_]*=.' '$here/.env' 2>/dev/null"
fi
if [ "$phase" = build ] || [ "$phase" = all ]; then
  # Megabytes, not compressed.
  for entry in "${BACKEND_IMAGE:-pganalytics-v3-backend:0.1.0} ${SERVER_MB:-140}" "${COLLECTOR_IMAGE:-pganalytics-v3-collector:0.1.0} ${AGENT_MB:-50}"; do
    size=$($engine image inspect -f '{{.Size}}' "${entry% *}" 2>/dev/null || echo 0)
    size=$((size / 1000000))
    if [ "$size" -gt 0 ] && [ "$size" -le "${entry##* }" ]; then ok "build: ${entry% *} has $size MB"; else bad "build: ${entry% *} has $size MB, not 1 to ${entry##* }"; fi
    expect "build: ${entry% *} runs as no root" 10001:10001 "$($engine image inspect -f '{{.Config.User}}' "${entry% *}" 2>/dev/null)"
  done
fi
if [ "$phase" = after ] || [ "$phase" = all ]; then
  for entry in $containers; do
    holds "after: ${entry%%:*} is healthy within 60 s" until_true 60 healthy "${entry#*:}"
  done
  for number in 1 2; do
    holds "after: PostgreSQL answers, time $number" $engine exec pganalytics-postgres pg_isready -h 127.0.0.1 -U postgres
  done
  holds "after: the API is healthy" sh -c "curl -fsS http://127.0.0.1:8080/api/v1/health | grep -q '\"status\":\"healthy\"'"
  if [ "${PAGE:-}" = no ]; then not_here "the page: a debug build has none"; else holds "after: the page is there" sh -c "curl -fsS http://127.0.0.1:4000/ | grep -qi '<html'"; fi
  holds "after: the agent's figures are there" sh -c "curl -fsS http://127.0.0.1:9090/metrics | grep -q '^pg_up.* 1'"
  # Its first push comes an interval after its start.
  delivers() { curl -fsS http://127.0.0.1:9090/metrics | grep -qE '^pg_agent_stats_delivered_frames_total[^ ]* [1-9]'; }
  holds "after: the agent delivers" until_true 90 delivers
  if running pganalytics-grafana; then
    expect "after: Grafana asks for a log-in" 302 "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:3000/)"
  else
    not_here "Grafana: its profile is not started"
  fi
  for entry in $containers; do
    expect "after: ${entry%%:*} was not started again" 0 "$(state '{{.RestartCount}}' "${entry#*:}")"
  done
fi
summary
