#!/usr/bin/env bash
# Builds the programs with the profile `dist` and takes the debug symbols out of them into
# <program>.debug beside it, where gdb and perf look for them.
set -euo pipefail
cd "$(dirname "$0")/../.."
# What is published has the web UI inside.
./deploy/setup/ui.sh
# The linker that Rust has for this machine (lld) writes relocations in short and keeps equal functions
# once: 5 % of the server. The loader needs glibc 2.36 or newer for it, as Debian 12 has.
if rustc -vV | grep -qx 'host: x86_64-unknown-linux-gnu'; then
  export RUSTFLAGS="${RUSTFLAGS:-} -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--icf=all"
fi
cargo build --profile dist --locked -p pganalytics-collect -p pganalytics-server --bins
out=${CARGO_TARGET_DIR:-$PWD/target}/dist
for program in pganalytics-agent pganalytics-server; do
  objcopy --only-keep-debug "$out/$program" "$out/$program.debug"
  objcopy --strip-all --add-gnu-debuglink="$out/$program.debug" "$out/$program"
  printf '%s: %s bytes, symbols %s bytes\n' "$program" "$(stat -c %s "$out/$program")" "$(stat -c %s "$out/$program.debug")"
done
