#!/usr/bin/env bash
# From a wheel, and from a source distribution, to the first optimum on a Debian 12 machine without
# a compiler. What they depend on lies on the machine, as wheels and packages.
#
#   wheel.sh DEBIAN-TAR
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds_max=60

place=$PWD/out/packages
wheels=$place/wheels
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$wheels"
mkdir -p "$wheels" "$work/root"
make -s wheel sdist WHEEL_DIR="$wheels" WHEEL_LIBRARY=.build-deb/x86-64/release/liblbfgsd-engine.so
python3 -m pip download --quiet --disable-pip-version-check --only-binary :all: \
    --python-version 3.11 --implementation cp --platform manylinux2014_x86_64 \
    --platform manylinux_2_28_x86_64 --dest "$wheels" 'httpx>=0.23' 'numpy>=1.24' 'pycurl>=7.45' \
    hatchling
rm -rf "$place/packages"
mkdir "$place/packages"
cp "$place"/mirror/*.deb "$place/packages/"
(cd "$place/packages" && apt-ftparchive packages . >Packages)
tar -xf "$1" -C "$work/root"
echo 'deb [trusted=yes] file:/packages ./' >"$work/root/etc/apt/sources.list"

cat >"$work/root/root/first.py" <<'P'
import sys

import lbfgsd
import numpy

result = lbfgsd.minimize(lambda x: (x @ x / 2, x), numpy.arange(5.0), jac=True)
assert abs(result.x).max() < 1e-4, result
print("engine:", result.engine, result.reason)
P

# inside COMMAND: as root in the machine, without a network.
inside() {
    systemd-nspawn --quiet --register=no --keep-unit --private-network --pipe \
        --directory="$work/root" --bind-ro="$place/packages:/packages" \
        --bind-ro="$wheels:/wheels" sh -euc "$1"
}

began=$SECONDS
inside 'apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
    python3 -m venv /root/venv
    /root/venv/bin/pip install -q --no-index --find-links /wheels /wheels/lbfgsd-*.whl
    /root/venv/bin/python /root/first.py | grep "engine: local"
    ! command -v cc gcc swift'
seconds=$((SECONDS - began))
echo "from the wheel to the first optimum: $seconds s"
((seconds < seconds_max))

# The source distribution has no engine, and says what it needs.
inside 'python3 -m venv /root/pure
    /root/pure/bin/pip install -q --no-index --find-links /wheels /wheels/lbfgsd-*.tar.gz
    ! LBFGSD_URL= /root/pure/bin/python -c "
import lbfgsd, numpy
lbfgsd.minimize(lambda x: (x @ x / 2, x), numpy.arange(5.0), jac=True, engine=\"local\")
" 2>/root/said
    grep "has no liblbfgsd.so" /root/said'
tar -xOf "$wheels"/lbfgsd-*.tar.gz --wildcards '*/PKG-INFO' | grep -q 'Requires-Dist: pycurl>='
echo "the source distribution installs without a compiler, and says that it has no engine"
