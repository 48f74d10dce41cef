#!/usr/bin/env bash
# Every test: Swift's in release, the same bits in debug and release, Python's against the real
# daemon, and a minute of each fuzz target. Ends with the line "N passed, N failed", and with status 1 when a test failed, a part
# broke down, or no test ran. Each part runs whatever became of the one before.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

out=out/test
rm -rf "$out"
mkdir -p "$out"
broken=()
# Several times what the parts take on two quiet cores.
swift_seconds_max=1500
python_seconds_max=3000

# part NAME COMMAND...: runs it, shows how long it took, and notes when it fails.
part() {
    local name=$1 began=$SECONDS status=0
    shift
    echo "==> $name"
    "$@" || status=$?
    echo "==> $name: $((SECONDS - began)) s, status $status"
    if ((status != 0)); then broken+=("$name"); fi
    return "$status"
}

# As `make build` does.
LBFGSD_CPU=$(deploy/setup.sh cpu)
export LBFGSD_CPU
swift_build=(swift build --explicit-target-dependency-import-check error)

setup() {
    # systemd's tools are for the tests of the units, Chromium for those of web pages, compilers and
    # valgrind for those of the C library, Open MPI for runs over ranks, Java for clients that are
    # generated, the rest for the clients in C, Fortran, R and JavaScript; nginx is fetched by the
    # test that needs it.
    deploy/setup.sh packages systemd openssl chromium gcc g++ valgrind locales gfortran \
        r-base-core r-cran-httr2 r-cran-jsonlite r-cran-openssl nodejs node-typescript \
        default-jre-headless openmpi-bin &&
        deploy/setup.sh page && deploy/setup.sh docs && deploy/setup.sh torch
}

build_release() { "${swift_build[@]}" -c release --build-tests; }

# One at a time: some measure a time, and on two processors a test that computes makes the others
# wait for half a minute.
#
# The tests' own process is ended when it hangs, so that the last test of the log is the one that
# does. (Ending `swift test` would leave that process, and lose the lines that it has not written.)
swift_tests() {
    local status=0 watchdog
    { sleep "$swift_seconds_max" && pkill -KILL -f "^$PWD/.build/.*PackageTests.xctest"; } \
        >"$out/watchdog.log" 2>&1 &
    watchdog=$!
    swift test -c release --skip-build --no-parallel --xunit-output "$out/swift.xml" 2>&1 |
        tee "$out/swift.log" || status=$?
    pkill -P "$watchdog"
    return "$status"
}

# The engine gives the same bits however it is compiled.
trajectory_bits() {
    "${swift_build[@]}" --product TrajectoryBits &&
        .build/debug/TrajectoryBits >"$out/bits.debug" &&
        .build/release/TrajectoryBits >"$out/bits.release" &&
        test -s "$out/bits.debug" &&
        cmp "$out/bits.debug" "$out/bits.release" &&
        echo "the same $(wc -l <"$out/bits.debug") lines in debug and release"
}

python_tests() {
    LBFGSD_BIN="$PWD/.build/release/lbfgsd" \
        timeout --signal=INT --kill-after=60 "$python_seconds_max" \
        .venv/bin/python -m pytest Tests/integration Tests/torture \
        --junitxml="$out/pytest.xml" --durations=10 -p no:cacheprovider
}

# A minute each, from the seeds alone and at most these inputs: what is found here can be repeated.
fuzzing() {
    rm -rf out/fuzz/corpus
    LBFGSD_FUZZ_RUNS=100000 Tests/fuzz/run.sh 60 2>&1 | tee "$out/fuzz.log"
}

bits_passed=0
bits_failed=0
part "setup" setup
if part "release build" build_release; then
    part "Swift tests" swift_tests
    if part "trajectory bits" trajectory_bits; then bits_passed=1; else bits_failed=1; fi
    part "Python tests" python_tests
    part "fuzzing" fuzzing
fi

echo
# A crash of the Swift tests is said nowhere else.
if [[ " ${broken[*]} " == *"Swift tests"* ]]; then tail -n 40 "$out/swift.log"; fi
if ((${#broken[@]} > 0)); then printf 'failed: %s\n' "${broken[@]}"; fi
python3 Tests/summary.py "$out" "$bits_passed" "$bits_failed" "${#broken[@]}"
