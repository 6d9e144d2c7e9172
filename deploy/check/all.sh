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
  # The other versions, as far as there are programs of theirs.
  for version in 14 16 17 18; do
    [ ! -x "${PGANALYTICS_PG_DIR:-/var/cache/pganalytics/postgres}/$version/bin/postgres" ] \
      || try as_user env PATH="$PATH:$pg" "$work/deploy/check/stacks.sh" "$work/pganalytics-agent" "${PGANALYTICS_PG_DIR:-/var/cache/pganalytics/postgres}/$version/bin"
  done
  try as_user "$work/deploy/check/pitr.sh" "$pg"
  try as_user "$work/deploy/check/production.sh" "$work"
else
  echo "not possible here: $pg has no PostgreSQL, or there is no user postgres"
fi
if command -v python3 >/dev/null; then "$here/../setup/fetch-tools.sh" chart || true; fi
try "$here/chart.sh" "$work"
if "$here/../setup/fetch-tools.sh" openapi; then try "$here/openapi.sh" "$work/pganalytics-server"; else echo "not possible here: schemathesis can't be fetched"; fi
try "$here/workflows.sh"
if command -v shellcheck >/dev/null; then
  # shellcheck disable=SC2046 # names without blanks
  (cd "$here/../.." && try shellcheck -x -S warning $(find deploy -name '*.sh') && exit "$failed") || failed=1
else
  echo "not possible here: shellcheck is missing"
fi
exit "$failed"
