#!/bin/sh
# Runs the demo with the release build and the Python environment in .venv, if there is one.
# Arguments go to demo.py: --data DIR (default ./demo-data), --port PORT (default 8080 or the next
# free one).
set -eu
cd "$(dirname "$0")/.."

binary=${LBFGSD_BIN:-.build/release/lbfgsd}
if [ ! -x "$binary" ]; then
    echo "demo: no $binary; run 'make build' first, or set LBFGSD_BIN" >&2
    exit 1
fi
python=python3
if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi

exec "$python" demo/demo.py --binary "$binary" "$@"
