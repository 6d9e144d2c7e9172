# A container engine without a daemon, for tests as root on Debian 12: buildah builds in a
# chroot, podman runs with runc; all images are in $ENGINE_DIR. Source it.
#   apt-get install buildah podman runc netavark aardvark-dns mmdebstrap
# shellcheck shell=sh
ENGINE_DIR=${ENGINE_DIR:-/var/tmp/pganalytics-engine}
STORE="--root $ENGINE_DIR/store --runroot $ENGINE_DIR/run --storage-driver vfs"

has_engine() {
  [ "$(id -u)" = 0 ] && command -v buildah >/dev/null && command -v podman >/dev/null \
    && command -v runc >/dev/null && command -v mmdebstrap >/dev/null
}

# shellcheck disable=SC2086 # $STORE is several words
builder() { command=$1; shift; BUILDAH_ISOLATION=chroot buildah $STORE "$command" "$@" 2>&1 | grep -v CNI || true; }
# shellcheck disable=SC2086
engine() { podman $STORE --runtime runc --cgroup-manager cgroupfs --log-level error "$@"; }
# Without the right to raise limits, podman's own are too high.
LIMITS="--ulimit nofile=4096:4096 --ulimit nproc=4096:4096"

# Within `unshare -n -m`: a network of our own, and the engine's notes about it, too. What a run
# that was killed has left in them would answer for names of the next one.
own_network() {
  ip link set lo up
  for folder in /run/netns /run/containers; do
    mkdir -p "$folder"
    mount -t tmpfs tmpfs "$folder"
  done
}
# Its server of names outlives containers that were killed.
end_network() {
  pid=$(cat /run/containers/networks/aardvark-dns/aardvark.pid 2>/dev/null || true)
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
}

# For podman-compose: writes a program like podman, with our store and limits, into FILE.
podman_program() {
  cat >"$1" <<SCRIPT
#!/bin/sh
command=\$1; shift
case \$command in run | create) set -- $LIMITS "\$@" ;; esac
exec podman $STORE --runtime runc --cgroup-manager cgroupfs --log-level error "\$command" "\$@"
SCRIPT
  chmod +x "$1"
}

# The base that the Containerfiles find under BASE: [RELEASE], bookworm by default.
debian_base() {
  release=${1:-bookworm}
  engine image exists "localhost/debian:$release-slim" && return
  mkdir -p "$ENGINE_DIR"
  mmdebstrap --quiet --variant=minbase --include=ca-certificates "$release" "$ENGINE_DIR/base.tar"
  working=$(builder from scratch)
  builder add -q "$working" "$ENGINE_DIR/base.tar" / >/dev/null
  builder commit -q "$working" "localhost/debian:$release-slim" >/dev/null
  builder rm "$working" >/dev/null
  rm -f "$ENGINE_DIR/base.tar"
}

# IMAGE CONTAINERFILE CONTEXT [ARGUMENTS]. A subshell: sh has no variables of functions.
build() (
  made=$1 from=$2 folder=$3; shift 3
  builder bud --format docker --layers=false -q -f "$from" -t "$made" \
    --build-arg BASE=localhost/debian:bookworm-slim "$@" "$folder" >"$ENGINE_DIR/build.log" \
    || { cat "$ENGINE_DIR/build.log"; return 1; }
  engine image exists "$made" || { cat "$ENGINE_DIR/build.log"; return 1; }
)
