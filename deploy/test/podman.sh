#!/bin/sh
# podman.sh FOLDER: the platform of docker-compose.yml as it is, on podman without a daemon, in a
# network of its own: started from nothing, watched, started again, killed. FOLDER has the ready
# programs. PostgreSQL's image is stood in for by Debian's; timescale, grafana and redis are not
# started. Needs what images.sh needs, iptables, and podman-compose (PODMAN_COMPOSE names it).
set -eu
[ $# -eq 1 ] || { echo "usage: $0 FOLDER (with pganalytics-server and pganalytics-agent)" >&2; exit 2; }
here=$(cd "$(dirname "$0")/../.." && pwd)
programs=$(cd "$1" && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
# shellcheck source=deploy/test/engine.sh
. "$here/deploy/test/engine.sh"
compose=${PODMAN_COMPOSE:-podman-compose}
if ! has_engine || ! command -v "$compose" >/dev/null || ! command -v iptables >/dev/null; then
  not_here "podman, runc, mmdebstrap, iptables and podman-compose as root"; summary; exit
fi
if [ -z "${PLATFORM_INSIDE:-}" ]; then
  # Images are built with the host's network; the rest has its own.
  debian_base
  context=$(mktemp -d)
  # shellcheck disable=SC2064 # this folder, whatever the variable holds later
  trap "rm -rf '$context'" EXIT
  mkdir -p "$context/deploy"
  cp -r "$here/deploy/images" "$context/deploy/"
  for program in pganalytics-server pganalytics-agent; do strip -o "$context/$program" "$programs/$program"; done
  build localhost/pganalytics-v3-backend:0.1.0 "$context/deploy/images/Containerfile.server" "$context" --build-arg PROGRAM_FROM=context
  build localhost/pganalytics-v3-collector:0.1.0 "$context/deploy/images/Containerfile.agent" "$context" --build-arg PROGRAM_FROM=context
  engine image exists localhost/postgres:stand-in \
    || build localhost/postgres:stand-in "$here/deploy/test/stand-ins/Containerfile.postgres" "$here/deploy/test/stand-ins"
  PLATFORM_INSIDE=yes unshare -n -m "$0" "$programs"
  exit
fi

own_network
wrapper=$(mktemp)
cleanup() {
  engine rm -f -t 2 -a >/dev/null 2>&1 || true
  engine volume rm -f -a >/dev/null 2>&1 || true
  engine network rm pganalytics_default >/dev/null 2>&1 || true
  end_network
  rm -f "$wrapper"
}
trap cleanup EXIT
podman_program "$wrapper"
export BACKEND_IMAGE=localhost/pganalytics-v3-backend:0.1.0 COLLECTOR_IMAGE=localhost/pganalytics-v3-collector:0.1.0
export POSTGRES_IMAGE=localhost/postgres:stand-in COLLECTION_INTERVAL=5
up() { "$compose" --podman-path "$wrapper" -f "$here/docker-compose.yml" up -d --no-deps "$1" >"$ENGINE_DIR/up.log" 2>&1 || { cat "$ENGINE_DIR/up.log"; return 1; }; }
healthy() { engine healthcheck run "$1"; }
log_of() { engine logs "$1" 2>&1; }

began=$(date +%s)
up init
expect "secrets are made, and their maker ends well" 0 "$(engine inspect -f '{{.State.ExitCode}}' pganalytics-init)"
# podman-compose does not wait for health; the order is that of depends_on.
for service in backend:pganalytics-backend postgres:pganalytics-postgres collector:pganalytics-collector-demo; do
  up "${service%%:*}"
  if until_true 40 healthy "${service#*:}"; then ok "${service#*:} is healthy"; else
    bad "${service#*:} does not become healthy"; log_of "${service#*:}" | tail -n 8
  fi
done
took=$(($(date +%s) - began))
if [ "$took" -le 60 ]; then ok "all are healthy after $took s"; else bad "it took $took s, more than 60"; fi

address() { engine inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"; }
expect "addresses are those of the contract" "172.20.0.20 172.20.0.10 172.20.0.30" \
  "$(address pganalytics-backend) $(address pganalytics-postgres) $(address pganalytics-collector-demo)"
case $programs in
  */debug) page=no ;; # it reads the page from the source folder
  *) page=yes ;;
esac
checks() { env ENGINE="$wrapper" PAGE="$page" BACKEND_IMAGE="$BACKEND_IMAGE" COLLECTOR_IMAGE="$COLLECTOR_IMAGE" "$here/deploy/check/checklist.sh" "$1"; }
if said=$(checks after 2>&1); then ok "checklist.sh: $(echo "$said" | tail -n 1)"; else bad "checklist.sh: $(echo "$said" | grep -E '^FAIL')"; fi

show() { engine run --rm --network none --user 0:0 --cap-drop all --cap-add DAC_OVERRIDE --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 \
  -v "pganalytics-v3_secrets_$2:/etc/pganalytics/secrets/$2" "$BACKEND_IMAGE" secrets show "$1"; }
password=$(show admin server)
token() { curl -fsS http://127.0.0.1:8080/api/v1/auth/login -H 'Content-Type: application/json' \
  -d "{\"username\":\"admin\",\"password\":\"$password\"}" | sed 's/.*"token":"\([^"]*\)".*/\1/'; }
bearer=$(token)
frames() { curl -fsS -H "Authorization: Bearer $bearer" http://127.0.0.1:8080/api/v1/metrics | sed 's/.*"count":\([0-9]*\).*/\1/'; }
arrived() { [ "$(frames)" -gt 0 ]; }
if until_true 60 arrived; then ok "the agent has registered itself, and its figures arrive"; else bad "nothing arrives"; log_of pganalytics-collector-demo | tail -n 8; fi

up init
expect "a second start makes no new secret" 0 "$(log_of pganalytics-init | tail -n 11 | grep -c '^made' || true)"
expect "the first password is still the same" "$password" "$(show admin server)"
leaks=0
for name in admin_password:server jwt_secret:server registration_secret:server monitor_password:postgres postgres_password:postgres; do
  value=$(show "${name%%:*}" "${name#*:}")
  for container in pganalytics-init pganalytics-backend pganalytics-postgres pganalytics-collector-demo; do
    if { log_of "$container"; engine inspect "$container"; } | grep -qF -e "$value"; then leaks=$((leaks + 1)); fi
  done
done
expect "no log and no setting of a container holds a secret" 0 "$leaks"

engine kill -s KILL pganalytics-backend >/dev/null
sleep "${AWAY:-60}"
holds "the agent is healthy while the server is away for ${AWAY:-60} s" healthy pganalytics-collector-demo
engine start pganalytics-backend >/dev/null
until_true 30 healthy pganalytics-backend || bad "the server does not come back"
bearer=$(token)
before=$(frames)
more() { [ "$(frames)" -gt "$before" ]; }
if until_true 60 more; then ok "after kill -9 the agent goes on by itself ($before values, then $(frames))"; else bad "nothing arrives after kill -9"; fi
audit() { engine exec pganalytics-backend /usr/bin/pganalytics-server audit; }
if until_true 60 audit; then ok "audit: nothing is missing, $(audit | tail -n 1)"; else bad "audit: $(audit 2>&1 | tail -n 5)"; fi
backup() { engine exec pganalytics-backend /usr/bin/pganalytics-server backup --keep 3 --verify; }
holds "it is backed up while it runs" backup
not_here "images of the registry; timescale, grafana, redis"
summary
