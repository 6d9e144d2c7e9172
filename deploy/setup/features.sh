#!/usr/bin/env bash
# Each useful set of features of pganalytics-collect compiles by itself, without a warning: the
# workspace's own builds switch them all on together, and would not notice.
set -euo pipefail
cd "$(dirname "$0")/../.."
failed=0
for features in "" logs http exporter postgres http,logs exporter,postgres http,postgres config; do
  echo "pganalytics-collect with ${features:-no feature}"
  cargo clippy --quiet --locked -p pganalytics-collect --lib --no-default-features --features "$features" -- -D warnings || failed=1
done
exit $failed
