#!/usr/bin/env bash
# `make test-generated`: generates clients from openapi.yaml in every language that is tried, and
# runs those that a compiler here can build against the daemon. Installs what they need. The C++
# client alone takes minutes. LBFGSD_BIN names another daemon than the release build.
set -euo pipefail
cd "$(dirname "$0")/../.."

deploy/setup.sh packages default-jre-headless nodejs node-typescript golang-go g++ \
    libcpprest-dev libboost-system-dev libssl-dev
deploy/setup.sh python
LBFGSD_GENERATED=all exec .venv/bin/python -m pytest -p no:cacheprovider --durations=10 \
    Tests/integration/generated
