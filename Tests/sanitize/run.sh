#!/usr/bin/env bash
# Every Swift test with the thread sanitizer and with the address sanitizer, and the Python tests
# against a daemon with the address sanitizer. Ends with status 1 if a test failed or a sanitizer
# reported something, which is then in out/sanitize.
#
#   Tests/sanitize/run.sh [thread | address | daemon] [FILTER]
#
# FILTER is `swift test`'s, or pytest's -k for `daemon`. Each sanitizer has a build directory of its
# own, as its objects don't mix with others.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

out=out/sanitize
filter=${2-}
broken=()
mkdir -p "$out"

part() {
    local name=$1 began=$SECONDS status=0
    shift
    echo "==> $name"
    "$@" || status=$?
    echo "==> $name: $((SECONDS - began)) s, status $status"
    if ((status != 0)); then broken+=("$name"); fi
    return "$status"
}

build() {
    swift build --build-tests --sanitize="$1" --scratch-path ".build-$1"
}

# The program's reports go to files: what a test prints and how it ends doesn't hide one.
without_reports() {
    local name=$1 reports
    shift
    rm -f "$out/$name".report.*
    "$@" || return
    reports=$(find "$out" -name "$name.report.*" | wc -l)
    if ((reports > 0)); then
        grep -hE '^(SUMMARY|WARNING|ERROR|==[0-9]+==ERROR)' "$out/$name".report.* | sort | uniq -c
        echo "$reports reports in $out/$name.report.*"
        return 1
    fi
}

# One at a time, as in Tests/run.sh.
swift_tests() {
    local arguments=(--skip-build --no-parallel --sanitize="$1" --scratch-path ".build-$1")
    if [[ -n $filter ]]; then arguments+=(--filter "$filter"); fi
    swift test "${arguments[@]}" >"$out/$1.log" 2>&1
    local status=$?
    grep -aE '✘|Test run with' "$out/$1.log" | tail -n 40
    return "$status"
}

thread() {
    # Swift's clang, as it knows Swift's calling convention.
    local clang
    clang=$(dirname "$(readlink -f "$(command -v swiftc)")")/clang
    "$clang" -shared -fPIC -O2 -Wall -o "$out/mutex.so" Tests/sanitize/mutex.c || return
    TSAN_OPTIONS="log_path=$PWD/$out/thread.report:exitcode=66" LD_PRELOAD="$PWD/$out/mutex.so" \
        swift_tests thread
}

address() {
    ASAN_OPTIONS="log_path=$PWD/$out/address.report" \
        LSAN_OPTIONS="suppressions=$PWD/Tests/sanitize/leaks.txt:print_suppressions=0" \
        swift_tests address
}

# Killed daemons leak by design.
daemon() {
    LBFGSD_BIN="$PWD/.build-address/debug/lbfgsd" \
        ASAN_OPTIONS="log_path=$PWD/$out/daemon.report:detect_leaks=0" \
        .venv/bin/python -m pytest -q Tests/integration -k "$filter" -p no:cacheprovider
}

what=${1-all}
if [[ $what == thread || $what == all ]]; then
    part "build with the thread sanitizer" build thread &&
        part "Swift tests with the thread sanitizer" without_reports thread thread
fi
if [[ $what != thread ]] && part "build with the address sanitizer" build address; then
    if [[ $what != daemon ]]; then
        part "Swift tests with the address sanitizer" without_reports address address
    fi
    if [[ $what != address ]]; then
        part "Python tests with the address sanitizer" without_reports daemon daemon
    fi
fi
if ((${#broken[@]} > 0)); then printf 'failed: %s\n' "${broken[@]}"; fi
((${#broken[@]} == 0))
