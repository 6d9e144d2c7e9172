#!/bin/sh
# Fetches two programs that tests run beside ours: promtool, and the postgres_exporter that ours is
# compared with. They come out of Debian's packages, unpacked but not installed: installing would
# start a Prometheus and an exporter as services of this machine.
#
# Folder: $PGANALYTICS_TOOLS_DIR, else /var/cache/pganalytics/tools for root, else
# ~/.cache/pganalytics/tools. The test kit looks there after PATH.
set -eu

if [ -n "${PGANALYTICS_TOOLS_DIR:-}" ]; then
    root=$PGANALYTICS_TOOLS_DIR
elif [ "$(id -u)" = 0 ]; then
    root=/var/cache/pganalytics/tools
else
    root=${HOME:?}/.cache/pganalytics/tools
fi

# fetch <program> <package>
fetch() {
    if command -v "$1" >/dev/null 2>&1 || [ -x "$root/$1" ]; then
        return 0
    fi
    command -v apt-get >/dev/null ||
        { echo "fetch-tools: please install $1 (Debian has it in $2)" >&2; exit 1; }
    echo "fetch-tools: $1 -> $root" >&2
    mkdir -p "$root"
    work=$(mktemp -d "$root/.fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT INT TERM
    (cd "$work" && apt-get -o APT::Sandbox::User=root download -q "$2" >/dev/null && dpkg-deb -x ./*.deb .) ||
        { echo "fetch-tools: $2 could not be fetched; is apt-get update done?" >&2; exit 1; }
    install -m 755 "$work/usr/bin/$1" "$root/$1"
    rm -rf "$work"
    trap - EXIT INT TERM
}

fetch promtool prometheus
fetch prometheus-postgres-exporter prometheus-postgres-exporter
