#!/usr/bin/env bash
# The tests that find most mistakes in under two minutes after an incremental build. Installs
# nothing: what isn't there is left out, and said to be. Builds in debug, which is the quicker
# incremental build.
set -euo pipefail
cd "$(dirname "$0")/.."

LBFGSD_CPU=$(deploy/setup.sh cpu)
export LBFGSD_CPU
# Minutes in a debug build: the engine's trajectories, bodies cut at every byte, stores under load and
# simulations by the thousand. CONFIGURATION=release make test ONLY=LBFGSTests runs the first.
slow='^LBFGSTests|^SimulationTests|^APITests.StreamedBody|^StoreContractTests'
files=(
    contract/test_contract_errors.py contract/test_contract_evaluations.py
    contract/test_contract_sessions.py
)

swift build --explicit-target-dependency-import-check error --build-tests
swift test --skip-build --skip "$slow"
if ! .venv/bin/python -c 'import pytest, numpy' 2>/dev/null; then
    echo "no Python tests: .venv lacks what they import (deploy/setup.sh python installs it)"
    exit
fi
LBFGSD_BIN="$PWD/.build/debug/lbfgsd" .venv/bin/python -m pytest -q -p no:cacheprovider \
    "${files[@]/#/Tests/integration/}"
