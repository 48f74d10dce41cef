#!/usr/bin/env bash
# Makes the source distribution of the Python client.
#
#   sdist.sh FOLDER
#
# It has no engine: that is written in Swift, and compiled by `make wheel` or packaged as
# liblbfgsd1. Its README and its metadata say what it needs instead.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
mkdir -p "$1"
folder=$(realpath "$1")

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --target "$tools" hatchling
cd clients/python
PYTHONPATH=$tools "$python" -c '
import sys
from hatchling.build import build_sdist
print(build_sdist(sys.argv[1]))
' "$folder"
