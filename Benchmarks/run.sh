#!/bin/sh
# Every benchmark, one after the other; Markdown on standard output. Arguments name some of them:
# Benchmarks/run.sh service
set -eu
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then set -- $(ls Benchmarks); fi
for name in "$@"; do
    if [ -f "Benchmarks/$name/run.sh" ]; then
        sh "Benchmarks/$name/run.sh"
    elif [ -f "Benchmarks/$name/run.py" ]; then
        python3 "Benchmarks/$name/run.py"
    fi
done
