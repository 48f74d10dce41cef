#!/usr/bin/env bash
# The long form of the attacks on the store: 10,000 crash states, 10,000 bit flips, thousands of
# failing calls. Ends with status 1 if one of them found something.
#
#   Tests/torture/long.sh [SEED]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

seed=${1:-$RANDOM}
status=0
for attack in "crash --states 10000" "flips --count 10000" "faults --count 3000" events; do
    read -ra words <<<"$attack"
    .venv/bin/python Tests/torture/run.py "${words[@]}" --seed "$seed" || status=1
done
exit "$status"
