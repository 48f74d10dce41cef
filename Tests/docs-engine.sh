#!/usr/bin/env bash
# Builds the documentation of the LBFGS library into out/docs/LBFGS. A warning is an error: a link
# to a symbol that has been renamed, for one. The toolchain's own tools do it, so the package needs
# no plugin.
set -euo pipefail
cd "$(dirname "$0")/.."

symbols=out/docs/symbols
rm -rf "$symbols" out/docs/LBFGS
mkdir -p "$symbols"
LBFGSD_CPU=$(deploy/setup.sh cpu)
export LBFGSD_CPU
swift build --explicit-target-dependency-import-check error --target LBFGS
swift symbolgraph-extract -module-name LBFGS -I .build/debug/Modules \
    -target "$(uname -m)-unknown-linux-gnu" -minimum-access-level public -skip-inherited-docs \
    -skip-synthesized-members -output-dir "$symbols"

# docc lies beside the compiler, which may be reached by a symbolic link.
docc=$(dirname "$(readlink -f "$(command -v swift)")")/docc
"$docc" convert Sources/LBFGS/LBFGS.docc --additional-symbol-graph-dir "$symbols" \
    --fallback-display-name LBFGS --fallback-bundle-identifier lbfgsd.LBFGS \
    --fallback-default-module-kind Library --warnings-as-errors --output-path out/docs/LBFGS
echo "the engine's documentation: out/docs/LBFGS"
