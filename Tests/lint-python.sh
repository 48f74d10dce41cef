#!/usr/bin/env bash
# Checks all Python in the repository: ruff (style and format) and mypy (types), with the versions in
# Tests/requirements-lint.txt, which it installs into .venv if they are missing. Their settings are
# in ruff.toml and mypy.ini. Ends with status 1 if one of them finds something.
#
#   Tests/lint-python.sh           checks
#   Tests/lint-python.sh format    formats, and corrects what ruff can correct
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=Tests/requirements-lint.txt
installed=.venv/lint-complete
python=.venv/bin/python

install_missing() {
    # The tests' requirements are needed too: mypy follows imports into NumPy, httpx and pytest.
    deploy/setup.sh python
    if [[ -f $installed && $installed -nt $requirements && $installed -nt .venv/complete ]]; then
        return
    fi
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" >&2
    touch "$installed"
}

# Programs that have a module of the same name (run, daemon) are checked apart from each other.
check_types() {
    local status=0
    "$python" -m mypy clients/python Tests deploy/packages Benchmarks/service || status=1
    local program
    for program in Benchmarks/build Benchmarks/c-library Benchmarks/distributed Benchmarks/engine Benchmarks/ensembles Benchmarks/l1 Benchmarks/robustness demo docs/site; do
        "$python" -m mypy "$program" || status=1
    done
    return "$status"
}

install_missing
case "${1-check}" in
    check)
        status=0
        "$python" -m ruff check --quiet . || status=1
        "$python" -m ruff format --quiet --check . || status=1
        check_types || status=1
        exit "$status"
        ;;
    format)
        "$python" -m ruff check --quiet --fix .
        "$python" -m ruff format --quiet .
        ;;
    *)
        echo "usage: Tests/lint-python.sh [check | format]" >&2
        exit 64
        ;;
esac
