#!/usr/bin/env bash
# Builds the fuzz targets with libFuzzer and the address sanitizer, and prints the program's path.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Of two sanitizers SwiftPM passes only the last on; without fuzzer there is no coverage. Wide
# registers give the same bits: whoever asks for them gets the same program as all others.
env -u LBFGSD_CPU LBFGSD_FUZZ=1 swift build -c release -Xswiftc -enable-testing \
    --sanitize address -Xswiftc -sanitize=fuzzer,address --scratch-path .build-fuzz --product FuzzTargets "$@" >&2
echo "$PWD/.build-fuzz/release/FuzzTargets"
