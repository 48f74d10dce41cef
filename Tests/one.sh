#!/usr/bin/env bash
# Some tests by name, built incrementally; installs only what is missing.
#
#   Tests/one.sh NAME
#
# NAME goes to pytest if it begins with `test_` (with or without its folder in Tests): a
# file that exists, a file and a test (`test_crash.py::test_...`), or else an expression for -k.
# Anything else is a regular expression for `swift test --filter`, matched against
# `Module.Suite/test`. CONFIGURATION=release tests a release build.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1#Tests/integration/}
name=${name#Tests/}
if [[ $name =~ ^[a-z]+/(test_.*)$ ]]; then name=${BASH_REMATCH[1]}; fi
configuration=${CONFIGURATION:-debug}
LBFGSD_CPU=$(deploy/setup.sh cpu)
export LBFGSD_CPU
swift_build=(swift build --explicit-target-dependency-import-check error -c "$configuration")

deploy/setup.sh packages
deploy/setup.sh page
if [[ $name == test_* ]]; then
    deploy/setup.sh python
    "${swift_build[@]}" --product lbfgsd
    # The C library, for its tests.
    if [[ $name == test_engine* || $name == test_deploy* ]]; then
        "${swift_build[@]}" --product lbfgsd-engine
    fi
    selection=(Tests/integration Tests/torture -k "$name")
    file=$(find Tests/integration Tests/torture -name "${name%%::*}" -print -quit)
    if [[ -n $file ]]; then selection=("$(dirname "$file")/$name"); fi
    LBFGSD_BIN="$PWD/.build/$configuration/lbfgsd" exec .venv/bin/python -m pytest \
        "${selection[@]}" -p no:cacheprovider
fi
"${swift_build[@]}" --build-tests
log=$(mktemp)
trap 'rm -f "$log"' EXIT
swift test -c "$configuration" --skip-build --filter "$name" 2>&1 | tee "$log"
# A filter that matches nothing passes.
if grep -q 'Test run with 0 tests' "$log"; then
    echo "no Swift test matches $name; \`swift test list\` lists them" >&2
    exit 1
fi
