#!/bin/sh
# Benchmarks, one after the other; Markdown on standard output. Arguments name them; without any,
# those that need no more than `make bench` sets up; `service` makes environments for Optuna and
# Vizier by itself. `robustness` needs packages of its own, which its README names:
# Benchmarks/run.sh robustness
set -eu
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then set -- service engine; fi
for name in "$@"; do
    if [ -f "Benchmarks/$name/run.sh" ]; then
        sh "Benchmarks/$name/run.sh"
    elif [ -f "Benchmarks/$name/run.py" ]; then
        python3 "Benchmarks/$name/run.py"
    fi
done
