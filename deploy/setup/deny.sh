#!/usr/bin/env bash
# cargo-deny over the workspace. Advisories need a database on the network; where it can't be
# reached this says so, instead of passing in silence.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:$(./deploy/setup/fetch-tools.sh --where)
export PATH
quiet=(--log-level error --locked)
cargo deny "${quiet[@]}" check bans licenses sources
if cargo deny "${quiet[@]}" fetch db >/dev/null 2>&1; then
  cargo deny "${quiet[@]}" check advisories
else
  echo "NOT CHECKED: advisories (their database can't be reached from here)"
fi
