#!/usr/bin/env bash
# Who embeds a crate compiles its dependencies: they are counted, with features as given, and must
# not grow unseen.
set -euo pipefail
cd "$(dirname "$0")/../.."
count() { cargo tree --locked -e normal --prefix none "$@" | sed 's/ v.*//' | sort -u | wc -l; }
failed=0
bound() {
  local most=$1 crates
  shift
  crates=$(count "$@")
  echo "cargo tree $*: $crates crates (at most $most)"
  [ "$crates" -le "$most" ] || failed=1
}
bound 60 -p pganalytics-core
bound 200 -p pganalytics-collect
bound 180 -p pganalytics-collect --no-default-features --features config
bound 90 -p pganalytics-collect --no-default-features
exit $failed
