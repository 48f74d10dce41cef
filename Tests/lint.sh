#!/usr/bin/env bash
# The form of the sources: Swift, Python, shell scripts, and the engine's documentation. Installs
# the checkers that are missing. Each part runs whatever became of the one before.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

status=0
part() {
    echo "==> $1"
    shift
    "$@" || { status=1; echo "==> that failed"; }
}

scripts() {
    deploy/setup.sh packages shellcheck || return
    local -a files
    mapfile -d '' -t files < <(git ls-files -z '*.sh' '*.sbatch' .ci/run .githooks)
    shellcheck "${files[@]}"
}

part "swift format" swift format lint --strict --recursive Package.swift Sources Tests
part "shellcheck" scripts
if [[ -f Tests/lint-python.sh ]]; then part "Python" Tests/lint-python.sh; fi
part "the engine's documentation" Tests/docs-engine.sh
((status == 0))
