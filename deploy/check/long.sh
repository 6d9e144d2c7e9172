#!/bin/sh
# long.sh PROGRAMS: the checks that take longer, each of which starts what it looks at: the drill,
# the loads of the guide (LOAD_SECONDS of each instead of minutes), proxies, and as root images,
# platform and stack in containers, and the Debian packages in a machine of their own. What a
# machine has no tools for is named. PROGRAMS has release builds; with debug builds the figures
# of images and loads are not those of a release.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 PROGRAMS" >&2; exit 2; }
programs=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
failed=0
try() { echo "== $*"; "$@" || failed=1; }
try "$here/../tools/drill.sh" "$programs"
try "$here/load.sh" "$programs" "${LOAD_SECONDS:-}"
try "$here/proxy.sh" "$programs/pganalytics-server"
try "$here/images.sh" "$programs"
try "$here/../test/podman.sh" "$programs"
try "$here/../test/stack.sh" "$programs"
try "$here/deb.sh" "$programs"
exit "$failed"
