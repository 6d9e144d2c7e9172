#!/usr/bin/env bash
# Installs what building and testing needs. Does nothing, quickly, where all of
# it is there already.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)

need=()
want() { command -v "$1" >/dev/null 2>&1 || need+=("$2"); }
want cc build-essential
want npm npm
want pgbouncer pgbouncer
want pgbackrest pgbackrest
want chromium chromium
want curl curl
want python3 python3
python3 -m pip --version >/dev/null 2>&1 || need+=(python3-pip)

if [ ${#need[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "install.sh: please install: ${need[*]} (only Debian and Ubuntu are done by this script)" >&2
    exit 1
  fi
  sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "install.sh: needs root to install: ${need[*]}" >&2; exit 1; }
    sudo="sudo"
  fi
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -q
  $sudo apt-get install -yq --no-install-recommends "${need[@]}"
fi

if ! command -v cargo >/dev/null 2>&1; then
  echo "install.sh: please install Rust (stable) from https://rustup.rs" >&2
  exit 1
fi

"$here/pganalytics-testkit/fetch-postgres.sh"
"$here/deploy/setup/fetch-tools.sh"
