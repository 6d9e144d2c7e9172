#!/bin/sh
# guide.sh BASE_URL [--cacert FILE] [--production] [--log FILE] [--baseline FILE]: what the
# production guide asks of a server, eighteen questions, each with what was asked. BASE_URL is as
# https://metrics.example.com. Log in as admin with GUIDE_PASSWORD_FILE (GUIDE_USER names another
# user); SCRAPE_TOKEN_FILE for the server's own figures; on the server's own machine, with its
# settings in the environment, PGANALYTICS_SERVER=/usr/bin/pganalytics-server for backup and
# disk. --log names the server's log where it is not in the journal; --baseline writes what was
# measured. Needs curl. It pushes nothing but an empty push, and takes a backup into a folder
# that it removes.
set -eu
[ $# -ge 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
url=${1%/} production="" ca="" log="" baseline=""
shift
while [ $# -gt 0 ]; do
  case $1 in
    --production) production=yes; shift ;;
    --cacert) ca=${2:?a file}; shift 2 ;;
    --log) log=${2:?a file}; shift 2 ;;
    --baseline) baseline=${2:?a file}; shift 2 ;;
    *) echo "unknown: $1" >&2; exit 2 ;;
  esac
done
# shellcheck source=deploy/check/lib.sh
. "$(dirname "$0")/lib.sh"
api=$url/api/v1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $url in https://*) tls=yes ;; *) tls="" ;; esac
host=${url#*://} host=${host%%[:/]*}
case $host in localhost | 127.*) local_machine=yes ;; *) local_machine="" ;; esac
# The tokens are in a file: other users see the command line.
get() { curl -sS -m 10 ${ca:+--cacert "$ca"} -o "$work/body" -D "$work/headers" -w '%{http_code}' "$@"; }
login() { get -K "$work/login" "$@"; }
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/body" | head -n 1; }
code() { # WHAT EXPECTED SEEN REQUEST
  if [ "$2" = "$3" ]; then ok "$1 ($4: $3)"; else bad "$1 ($4: $3, not $2): $(head -c 200 "$work/body")"; fi
}

seen=$(get "$api/health"); code "1 it is healthy" 200 "$seen" "GET $api/health"
version=$(field version)
case "$(field status) $(field timestamp) $version" in healthy\ 20[0-9][0-9]-*T*Z\ [0-9]*) ok "1 and says version and time ($version)" ;; *) bad "1 says: $(cat "$work/body")" ;; esac
push='{"collector_id":"col_001","metrics":[]}'
json='Content-Type: application/json'
seen=$(get -H "$json" -d "$push" "$api/metrics/push"); code "2 a push without a token is refused" 401 "$seen" "POST $api/metrics/push"
holds "2 with a problem document" grep -qi '^content-type: application/problem+json' "$work/headers"
if [ -n "${GUIDE_PASSWORD_FILE:-}" ]; then
  (umask 077; printf '{"username":"%s","password":"%s"}' "${GUIDE_USER:-admin}" "$(cat "$GUIDE_PASSWORD_FILE")" >"$work/user")
  seen=$(get -H "$json" --data "@$work/user" "$api/auth/login"); code "3 log-in gives a token" 200 "$seen" "POST $api/auth/login"
  (umask 077; printf 'header = "Authorization: Bearer %s"\n' "$(field token)" >"$work/login")
  seen=$(login -H "$json" -d "$push" "$api/metrics/push"); code "4 a push with it is taken" 200 "$seen" "POST $api/metrics/push"
  seen=$(login "$api/metrics"); code "5 what is stored is told" 200 "$seen" "GET $api/metrics"
  count=$(field count)
  case $count in "" | *[!0-9]*) bad "5 count is no number: $count" ;; *) ok "5 and counted: $count values" ;; esac
  if [ -n "$local_machine" ] && [ -z "$production" ]; then
    seen=$(get "$api/metrics/count"); code "6 the count alone needs no log-in here" 200 "$seen" "GET $api/metrics/count"
  else
    seen=$(get "$api/metrics/count"); code "6 the count alone needs a log-in" 401 "$seen" "GET $api/metrics/count"
    seen=$(login "$api/metrics/count"); code "6 and is told with one" 200 "$seen" "the same with a token"
  fi
  seen=$(login "$api/collectors"); code "7 collectors are listed" 200 "$seen" "GET $api/collectors"
  # Seen within three intervals of a minute.
  recent=0 now=$(date +%s)
  for time in $(tr '{' '\n' <"$work/body" | sed -n 's/.*"last_seen":"\([^"]*\)".*/\1/p'); do
    [ $((now - $(date -d "$time" +%s))) -gt 180 ] || recent=$((recent + 1))
  done
  if [ "$recent" -ge 1 ]; then ok "7 and $recent of them pushed within three minutes"; else bad "7 none has pushed within three minutes"; fi
else
  not_here "3 to 7: GUIDE_PASSWORD_FILE"
fi
# Three tries: others may ask at the same time.
seen=$(curl -sS ${ca:+--cacert "$ca"} -o "$work/many" -D "$work/limits" -w '%{http_code}\n' "$api/health?n=[1-150]")
good=$(echo "$seen" | grep -c 200 || true) limited=$(echo "$seen" | grep -c 429 || true)
if [ "$good" -le 105 ] && [ "$good" -ge 85 ] && [ "$limited" -ge 45 ]; then ok "8 of 150 quick requests $good are answered, $limited are 429"; else bad "8 of 150 quick requests to /health $good are answered, $limited are 429; 100 should be"; fi
holds "8 with Retry-After" grep -qi '^retry-after: [0-9]' "$work/limits"
get "$api/version" >/dev/null
for header in x-content-type-options x-frame-options referrer-policy content-security-policy x-request-id ${tls:+strict-transport-security}; do
  holds "9 every answer has $header" grep -qi "^$header:" "$work/headers"
done
if [ -n "$tls" ]; then
  refuses "10 TLS 1.2 is refused" get --tls-max 1.2 "$api/version"
elif [ -n "$production" ]; then bad "10 it is reached without TLS"; else not_here "10 TLS: the address is plain HTTP"; fi
if [ -e "$work/login" ]; then
  slow=$(for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do curl -sS ${ca:+--cacert "$ca"} -K "$work/login" -o "$work/many" -w '%{time_total}\n' "$api/metrics"; done \
    | awk '{sum += $1; if ($1 > most) most = $1} END {printf "%d %d", sum / NR * 1000, most * 1000}')
  if [ "${slow% *}" -lt 300 ] && [ "${slow#* }" -le 500 ]; then ok "11 twenty requests took ${slow% *} ms on average, ${slow#* } at most"; else bad "11 twenty requests took ${slow% *} ms on average, ${slow#* } at most; 300 and 500 are allowed"; fi
fi
if [ -n "${SCRAPE_TOKEN_FILE:-}" ]; then
  (umask 077; printf 'header = "Authorization: Bearer %s"\n' "$(cat "$SCRAPE_TOKEN_FILE")" >"$work/scrape")
  seen=$(get -K "$work/scrape" "$url/metrics"); code "12 the server's own figures are told" 200 "$seen" "GET $url/metrics"
  used=$(awk '$1 == "process_cpu_seconds_total" {cpu = $2} $1 == "pganalytics_uptime_seconds" {up = $2} $1 == "process_resident_memory_bytes" {mem = $2}
    END {printf "%d %d", up ? cpu / up * 100 : 0, mem / 1000000}' "$work/body")
  if [ "${used% *}" -lt 40 ] && [ "${used#* }" -lt 200 ]; then ok "12 it takes ${used% *} % of a processor and ${used#* } MB"; else bad "12 it takes ${used% *} % of a processor and ${used#* } MB; 40 and 200 are allowed"; fi
else
  not_here "12: SCRAPE_TOKEN_FILE"
fi
if [ -n "$log" ]; then
  expect "13 its log has no errors" 0 "$(grep -cE ' ERROR |"level":"ERROR"' "$log" || true)"
elif command -v journalctl >/dev/null && [ -d /run/systemd/system ]; then
  expect "13 its log has no errors" 0 "$(journalctl -b -u pganalytics -o cat --no-pager | grep -cE ' ERROR |"level":"ERROR"' || true)"
else
  not_here "13 its log: --log FILE"
fi
not_here "14 a test alert: alerts are not in this version"
if [ -n "${PGANALYTICS_SERVER:-}" ]; then
  if "$PGANALYTICS_SERVER" backup --output "$work/backups/" --verify >"$work/said" 2>&1; then ok "15 a backup is made and read again"; else bad "15 backup: $(tail -n 2 "$work/said")"; fi
  if "$PGANALYTICS_SERVER" doctor --only store.space >"$work/said" 2>&1; then ok "18 the disk lasts: $(head -n 1 "$work/said")"; else bad "18 $(head -n 1 "$work/said")"; fi
else
  not_here "15 and 18, backup and disk: PGANALYTICS_SERVER, on the server's own machine"
fi
not_here "16 hypertables: the store in TimescaleDB is not in this version"
if [ -n "${GRAFANA_URL:-}" ]; then
  seen=$(get "$GRAFANA_URL/api/health"); code "17 Grafana answers" 200 "$seen" "GET $GRAFANA_URL/api/health"
else
  not_here "17 Grafana: GRAFANA_URL"
fi
[ -z "$baseline" ] || printf 'version %s\nvalues %s\nlatency_ms %s\ncpu_and_mb %s\n' "$version" "${count:-}" "${slow:-}" "${used:-}" >"$baseline"
summary
