#!/bin/sh
# images.sh FOLDER: builds the images of server and agent from the ready programs in FOLDER,
# and looks at and runs them, with a read-only root, as their own user, without rights.
# Needs root on Debian 12 with buildah, podman, runc and mmdebstrap; about a minute.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 FOLDER (with pganalytics-server and pganalytics-agent)" >&2; exit 2; }
programs=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
# shellcheck source=deploy/test/engine.sh
. "$here/deploy/test/engine.sh"
has_engine || { not_here "buildah, podman, runc and mmdebstrap as root"; summary; exit; }

context=$(mktemp -d)
# shellcheck disable=SC2064 # this folder, whatever the variable holds later
trap "engine rm -f -t 1 image-check >/dev/null 2>&1 || true; rm -rf '$context'" EXIT
mkdir -p "$context/deploy"
cp -r "$here/deploy/images" "$context/deploy/"
debian_base

look() { # IMAGE PROGRAM MEGABYTES
  image=localhost/$1:0.1.0 program=$2 most=$3
  # What is published has no symbols.
  strip -o "$context/$program" "$programs/$program"
  short=${program#pganalytics-}
  build "$image" "$context/deploy/images/Containerfile.$short" "$context" --build-arg PROGRAM_FROM=context
  ok "$1 is built"
  expect "its user is not root" "10001:10001" "$(engine image inspect -f '{{.Config.User}}' "$image")"
  holds "it has a health check" sh -c "podman $STORE image inspect -f '{{.HealthCheck}}' $image | grep -q health"
  size=$(($(engine image inspect -f '{{.Size}}' "$image") / 1000000))
  if [ "$size" -le "$most" ]; then ok "it has $size MB, at most $most"; else bad "it has $size MB, more than $most"; fi
  mount=$(engine image mount "$image")
  expect "no shell, no package manager" "" "$(cd "$mount" && find . -name 'sh' -o -name bash -o -name busybox -o -name 'apt*' -o -name 'dpkg*')"
  expect "only its user writes its data" "700 10001" "$(stat -c '%a %u' "$mount"/var/lib/pganalytics*)"
  engine image unmount "$image" >/dev/null
  secret='(PASSWORD|SECRET|TOKEN|KEY)=[^ ]'
  expect "no secret in its settings and history" 0 "$( { engine image inspect "$image"; engine history --no-trunc "$image"; } | grep -cE "$secret" || true)"
}

start() { # IMAGE [ARGUMENTS]
  image=localhost/$1:0.1.0; shift
  # shellcheck disable=SC2086 # $LIMITS is several words
  engine run -d --name image-check --network none $LIMITS --read-only --cap-drop all \
    --security-opt no-new-privileges --memory 512m "$@" "$image" >/dev/null
}
healthy() { engine healthcheck run image-check; }

look pganalytics-v3-backend pganalytics-server "${SERVER_MB:-140}"
start pganalytics-v3-backend --tmpfs /tmp
if until_true 20 healthy; then ok "it becomes healthy"; else bad "it does not become healthy: $(engine logs image-check 2>&1 | tail -3)"; fi
expect "it runs as its user" 10001 "$(awk '/^Uid/ {print $2}' "/proc/$(engine inspect -f '{{.State.Pid}}' image-check)/status")"
refuses "health fails where no server runs" engine exec image-check /usr/bin/pganalytics-server health --url http://127.0.0.1:9/
engine stop -t 20 image-check >/dev/null
expect "it ends well when told to" 0 "$(engine inspect -f '{{.State.ExitCode}}' image-check)"
engine rm -f image-check >/dev/null

look pganalytics-v3-collector pganalytics-agent "${AGENT_MB:-50}"
start pganalytics-v3-collector
if until_true 20 healthy; then ok "it becomes healthy"; else bad "it does not become healthy: $(engine logs image-check 2>&1 | tail -3)"; fi
engine rm -f -t 5 image-check >/dev/null
# shellcheck disable=SC2086
line=$(engine run --rm --network none $LIMITS --memory 1g --cpus 0.5 localhost/pganalytics-v3-collector:0.1.0 tune --log | head -n 1)
case $line in
  "[POSTGRES] [AUTO-CONFIG] RAM: 1024MB (cgroup-v"[12]"), CPU: 1 cores (cgroup-v"[12]")"*) ok "the container's limits decide its advice" ;;
  *) bad "the container's limits do not decide its advice: $line" ;;
esac
summary
