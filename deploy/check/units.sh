#!/bin/sh
# units.sh [FOLDER]: systemd accepts our units, and what they may touch is little (exposure at
# most 2.0). Only looks at the files; starting, killing and upgrading need a booted systemd
# and are not tried here.
set -eu
folder=$(cd "${1:-$(dirname "$0")/../systemd}" && pwd)
command -v systemd-analyze >/dev/null || { echo "not possible here: systemd-analyze is missing" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for unit in "$folder"/*.service; do
  name=$(basename "$unit")
  # Verification wants the program and the user to be there.
  sed -e 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' -e '/^User=/d' -e '/^Group=/d' -e '/^SupplementaryGroups=/d' "$unit" >"$work/$name"
  if said=$(systemd-analyze verify "$work/$name" 2>&1) && [ -z "$said" ]; then
    echo "ok   $name is valid"
  else
    echo "FAIL $name: $said"; failed=$((failed + 1))
  fi
  # With the user, which counts.
  sed -e 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$unit" >"$work/$name"
  if said=$(systemd-analyze security --offline=true --threshold=20 --no-pager "$work/$name" 2>&1); then
    echo "ok   $name: $(echo "$said" | tail -n 1)"
  else
    echo "FAIL $name: $(echo "$said" | tail -n 1)"; failed=$((failed + 1))
  fi
done
[ "$failed" -eq 0 ]
