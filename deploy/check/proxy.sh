#!/bin/sh
# proxy.sh SERVER [nginx|caddy|haproxy|haproxy-tls...]: each proxy with its file of deploy/proxy
# before two real servers: HTTPS, the page, who is asked for, forged headers, a large body, a
# server that goes. SERVER is the program pganalytics-server. Any user; changes ports, names and
# paths of the files, and nothing else of them.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 SERVER [PROXY...]" >&2; exit 2; }
server=$1; shift
[ $# -gt 0 ] || set -- nginx caddy haproxy haproxy-tls
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
work=$(mktemp -d)
base=${PORT:-54440}
one=$base two=$((base + 1)) front=$((base + 2))
pids=""
cleanup() {
  # shellcheck disable=SC2086 # several numbers
  [ -z "$pids" ] || kill $pids 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
"$server" certs ca --dir "$work/ca" >/dev/null
"$server" certs issue --ca "$work/ca" --dir "$work/tls" --host metrics.example.com --host 127.0.0.1 >/dev/null
cat "$work/tls/server.crt" "$work/tls/server.key" >"$work/tls/server.pem"

serve() { # PORT [VARIABLES]: the two servers have different first admins, by which they are told apart
  port=$1; shift
  env PGANALYTICS_DATA_DIR="$work/data-$port" PORT="$port" UI_PORT=0 LOG_LEVEL=error PGANALYTICS_SQL_WORKERS=1 \
    PGANALYTICS_TRUSTED_PROXIES=127.0.0.1 PGANALYTICS_DRAIN_DELAY=3 PGANALYTICS_RATE_LIMIT_HEALTH=10 "$@" "$server" serve >"$work/log-$port" 2>&1 &
  last=$!
  pids="$pids $last"
}
ready() { "$server" health --url "http://127.0.0.1:$1/api/v1/health/ready"; }
get() { curl -sS -o "$work/body" -D "$work/headers" -w '%{http_code}' --cacert "$work/ca/ca.crt" --resolve "metrics.example.com:$front:127.0.0.1" "$@"; }
url=https://metrics.example.com:$front
api=$url/api/v1

configure() { # FILE: with these ports and folders
  sed -e "s/127.0.0.1:8080/127.0.0.1:$one/" -e "s/127.0.0.1:8081/127.0.0.1:$two/" -e "s/listen 443/listen $front/" \
    -e "s/maxconn 20000/maxconn 2000/" -e "s/:443/:$front/" -e "s|/etc/pganalytics/tls|$work/tls|g" -e "s|/run/nginx.pid|$work/nginx.pid|" \
    -e "s/^metrics.example.com {/metrics.example.com:$front {/" "$here/deploy/proxy/$1" >"$work/$1"
}

start() {
  case $1 in
    nginx)
      configure nginx.conf
      # Its own folders may be another user's.
      sed -i "s|^http {|http { access_log off; client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;|" "$work/nginx.conf"
      nginx -c "$work/nginx.conf" -e "$work/proxy.log" -g 'daemon off;' & ;;
    caddy)
      configure Caddyfile
      { printf '{\n\tadmin off\n\tauto_https off\n}\n'; cat "$work/Caddyfile"; } >"$work/Caddyfile.own"
      HOME=$work caddy run --adapter caddyfile --config "$work/Caddyfile.own" >"$work/proxy.log" 2>&1 & ;;
    *) configure "$1.cfg"; haproxy -db -f "$work/$1.cfg" >"$work/proxy.log" 2>&1 & ;;
  esac
  proxy=$!
  pids="$pids $proxy"
}

for name in "$@"; do
  program=${name%-tls}
  command -v "$program" >/dev/null || PATH=$PATH:/usr/sbin
  command -v "$program" >/dev/null || { not_here "$program"; continue; }
  echo "== $name"
  rm -rf "$work"/data-*
  if [ "$name" = haproxy-tls ]; then
    serve "$one" TLS_CERT="$work/tls/server.crt" TLS_KEY="$work/tls/server.key"; first=$last
    serve "$two" TLS_CERT="$work/tls/server.crt" TLS_KEY="$work/tls/server.key"; second=$last
    sleep 2
  else
    serve "$one"; first=$last
    serve "$two"; second=$last
    if ! until_true 20 ready "$one" || ! until_true 20 ready "$two"; then bad "the servers do not start"; fi
  fi
  start "$name"
  answers() { [ "$(get "$api/health/ready")" = 200 ]; }
  if until_true 15 answers; then ok "$name answers over TLS"; else bad "$name does not answer: $(tail -n 3 "$work/proxy.log")"; continue; fi
  expect "the API's page is there" 200 "$(get "$api/docs")"
  holds "HSTS reaches the browser" grep -qi '^strict-transport-security' "$work/headers"
  refuses "TLS 1.2 is refused" get --tls-max 1.2 "$api/health/ready"
  if [ "$name" != haproxy-tls ]; then
    # Each address has its own ten a minute: a forged one gives no more.
    codes=""
    for forged in $(seq 30); do codes="$codes $(get -H "X-Forwarded-For: 192.0.2.$forged" "$api/health")"; done
    case $codes in *429*) ok "who forges his address is limited as he is" ;; *) bad "a forged address is believed" ;; esac
    head -c 9000000 /dev/zero >"$work/large"
    # By the proxy, or by the server before it has read them; over HTTP/2 the stream may just end.
    code=$(get -X POST --data-binary "@$work/large" "$api/metrics/push" 2>/dev/null) || true
    case $code in 413 | 401 | 000) ok "nine megabytes are refused" ;; *) bad "nine megabytes: $code" ;; esac
  fi
  kill -TERM "$first"
  failures=0
  for _ in $(seq 60); do
    code=$(get "$api/version" 2>/dev/null) || code=broken
    [ "$code" = 200 ] || failures=$((failures + 1))
    sleep 0.1
  done
  expect "a server goes, and nobody sees an error" 0 "$failures"
  kill "$proxy" "$second" 2>/dev/null || true
  wait "$proxy" "$second" "$first" 2>/dev/null || true
done
summary
