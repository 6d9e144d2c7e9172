#!/bin/sh
# docs.sh PROGRAMS: runs every command of docs/*.md, each page's in a folder that is thrown away;
# blocks that can't be run so are marked `sh no-run`. Needs python3.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 PROGRAMS" >&2; exit 2; }
programs=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
marked=0
for path in "$here"/docs/*.md; do
  page=$(basename "$path" .md)
  grep -q '^ *```sh' "$path" || continue
  mkdir -p "$work/$page/home"
  # The store that is backed up, as a server makes it.
  run() { env -i PATH="$programs:/usr/bin:/bin" HOME="$work/$page/home" PGANALYTICS_DATA_DIR="$work/$page/store" "$@"; }
  run pganalytics-server migrate up >/dev/null
  # One file for each block that is to run, in order; the others are counted.
  python3 - "$here/docs/$page.md" "$work/$page" <<'PYTHON'
import re, sys
page, out = sys.argv[1:]
blocks = re.findall(r"^ *```(sh[^\n]*)\n(.*?)^ *```", open(page).read(), re.M | re.S)
for number, (kind, text) in enumerate(blocks):
    name = "run" if kind.strip() == "sh" else "marked"
    open(f"{out}/{number:02}.{name}", "w").write("set -eu\n" + text)
PYTHON
  for block in "$work/$page"/*.run; do
    [ -e "$block" ] || continue
    if (cd "$work/$page" && run sh "$block") >"$work/out" 2>&1; then
      ok "docs/$page.md: $(sed -n 2p "$block" | sed 's/^ *//')"
    else
      bad "docs/$page.md: $(sed 1d "$block"): $(tail -n 3 "$work/out")"
    fi
  done
  marked=$((marked + $(find "$work/$page" -name '*.marked' | wc -l)))
done
echo "$marked blocks are marked no-run"
summary
