#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of `fuzz/run.sh`: compiles our own crates so that libFuzzer sees which
# branches an input takes. Works with the stable compiler, and leaves third-party crates as every
# other build has them. Build scripts run without libFuzzer, so they are compiled as usual.
case " $* " in
*" --crate-name build_script_"* | *" --crate-type proc-macro "*) exec "$@" ;;
esac
exec "$@" -Copt-level=2 -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
