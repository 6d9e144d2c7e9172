#!/bin/sh
# workflows.sh: what is under .github, looked at by zizmor (security), and that every action is
# pinned by its commit. Nothing is run. zizmor is on PyPI; it is done without where it is missing.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
expect "every action is pinned by its commit" "" "$(grep -rhoE 'uses: .*' "$here/.github/workflows" | grep -vE '@[0-9a-f]{40} # v' || true)"
expect "no right is given to a whole workflow" "$(find "$here/.github/workflows" -name '*.yml' | wc -l)" "$(grep -lx 'permissions: {}' "$here"/.github/workflows/*.yml | wc -l)"
expect "nothing runs a stranger's code with rights" "" "$(grep -rl 'pull_request_target' "$here/.github/workflows" || true)"
if command -v zizmor >/dev/null; then
  if said=$(zizmor --offline --quiet "$here/.github/workflows" 2>&1); then ok "zizmor finds nothing"; else bad "zizmor: $said"; fi
else
  not_here "zizmor: pip install zizmor"
fi
summary
