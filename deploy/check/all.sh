#!/bin/sh
# all.sh PROGRAMS: the checks of this folder that need no containers and little time. Servers are
# started as postgres where this runs as root: its own rules let that user in by its socket. PG_BIN names PostgreSQL 15's programs.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 PROGRAMS" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
pg=${PG_BIN:-/usr/lib/postgresql/15/bin}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A copy that nobody can read, wherever the project lies.
cp -r "$here/.." "$work/deploy"
mkdir "$work/docs" && cp "$here"/../../docs/*.md "$work/docs/"
cp "$1/pganalytics-server" "$1/pganalytics-agent" "$work/"
chmod -R a+rX "$work"
as_user() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
failed=0
try() { echo "== $*"; "$@" || failed=1; }
if command -v systemd-analyze >/dev/null; then try "$here/units.sh"; else echo "not possible here: systemd-analyze is missing"; fi
if [ -x "$pg/postgres" ] && { [ "$(id -u)" != 0 ] || id postgres >/dev/null 2>&1; }; then
  try as_user "$work/deploy/check/docs.sh" "$work"
  try as_user "$work/deploy/check/backup.sh" "$pg"
  try as_user "$work/deploy/check/certs.sh" "$work/pganalytics-server" "$pg"
  try as_user "$work/deploy/check/stacks.sh" "$work/pganalytics-agent" "$pg"
  try as_user "$work/deploy/check/pitr.sh" "$pg"
else
  echo "not possible here: $pg has no PostgreSQL, or there is no user postgres"
fi
if command -v shellcheck >/dev/null; then
  # shellcheck disable=SC2046 # names without blanks
  (cd "$here/../.." && try shellcheck -x -S warning $(find deploy -name '*.sh') && exit "$failed") || failed=1
else
  echo "not possible here: shellcheck is missing"
fi
exit "$failed"
