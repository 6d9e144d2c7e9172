#!/usr/bin/env bash
# Runs fuzz targets for a while each, two at a time, with the stable compiler.
#
#   fuzz/run.sh [seconds] [target…]      20 seconds and all targets unless said otherwise
#
# Inputs that were found interesting stay in <target folder>/fuzz/corpus, inputs that broke a target
# in <target folder>/fuzz/artifacts; the program's output says how to run one again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
shift || true
target=${CARGO_TARGET_DIR:-$PWD/target}
all=$(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"$|\1|p' fuzz/Cargo.toml)
names=${*:-$all}

# Features of the whole workspace, so that no third-party crate is built twice.
cargo build --locked --workspace --bin seeds
work=$target/fuzz
mkdir -p "$work/artifacts"
"$target/debug/seeds" "$work/corpus"
bins=()
for name in $names; do bins+=(--bin "$name"); done
RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/rustc.sh cargo build --locked --workspace "${bins[@]}"

run() {
  mkdir -p "$work/corpus/$1" "$work/artifacts/$1"
  if "$target/debug/$1" "$work/corpus/$1" -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 \
    -artifact_prefix="$work/artifacts/$1/" >"$work/$1.log" 2>&1; then
    echo "fuzz: $1: $(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs, no finding/p' "$work/$1.log")"
  else
    tail -n 40 "$work/$1.log"
    echo "fuzz: $1 FAILED; the input is in $work/artifacts/$1" >&2
    return 1
  fi
}
export -f run
export work target seconds
# shellcheck disable=SC2086 # a word for each target
printf '%s\n' $names | xargs -P 2 -I{} bash -c 'run {}'
