#!/usr/bin/env bash
# Runs the fuzz targets, two at a time, each for SECONDS (60), from the seeds and from what earlier
# runs have found in out/fuzz/corpus. Prints a line for each; fails if
# one found a defect or ran nothing. LBFGSD_FUZZ_SEED (7) chooses what is tried, so that a run can be
# repeated; 0 is another seed each time. LBFGSD_FUZZ_RUNS ends each after so many inputs, so that a
# faster machine tries no others.
#
#   Tests/fuzz/run.sh [SECONDS [TARGET ...]]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

seconds=${1:-60}
program=${LBFGSD_FUZZ_PROGRAM:-$(Tests/fuzz/build.sh)} || exit
targets=("${@:2}")
if ((${#targets[@]} == 0)); then mapfile -t targets < <("$program" --targets); fi
if ((${#targets[@]} == 0)); then exit 1; fi
out=out/fuzz
mkdir -p "$out/corpus" "$out/found"
python3 Tests/fuzz/seeds.py "$out/corpus"

fuzz() {
    local target=$1 status=0
    # Swift's backtraces would take the sanitizer's place, and wait for a terminal. Foundation leaks
    # the buffer of an empty file.
    SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0 LBFGSD_FUZZ_TARGET=$target \
        timeout --signal KILL $((seconds + 120)) "$program" "$out/corpus/$target" \
        -seed="${LBFGSD_FUZZ_SEED:-7}" -runs="${LBFGSD_FUZZ_RUNS:--1}" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 \
        -artifact_prefix="$out/found/$target-" -print_final_stats=1 -close_fd_mask=1 \
        </dev/null >"$out/$target.log" 2>&1 || status=$?
    local runs coverage
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$target.log" | tail -n 1)
    coverage=$(grep -ao 'cov: [0-9]*' "$out/$target.log" | tail -n 1)
    # A target that does not begin finds nothing either.
    if ((status == 0 && ${runs:-0} == 0)); then status=1; fi
    echo "fuzz $target: status $status, ${runs:-0} runs, ${coverage:-no coverage}"
    if ((status != 0)); then
        grep -aE 'ERROR|Fatal error|Precondition|SUMMARY|Test unit written' "$out/$target.log" >&2
    fi
    return "$status"
}

failed=0
running=()
wait_for_first() {
    wait "${running[0]}" || failed=$((failed + 1))
    running=("${running[@]:1}")
}
for target in "${targets[@]}"; do
    fuzz "$target" &
    running+=($!)
    if ((${#running[@]} == 2)); then wait_for_first; fi
done
while ((${#running[@]} > 0)); do wait_for_first; done
echo "fuzzing: $((${#targets[@]} - failed)) of ${#targets[@]} targets found nothing"
((failed == 0))
