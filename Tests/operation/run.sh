#!/usr/bin/env bash
# Boots Debian 12 in containers with systemd as process 1, installs lbfgsd there by `make install`,
# and goes through deploy/README.md as an operator would. Needs root.
#
#   Tests/operation/run.sh [PYTEST-ARGUMENT ...]
#
# Debian's files are fetched once, into out/operation. BINARY=... installs another binary than the
# one that `make install` builds.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ((EUID != 0)); then
    echo "Tests/operation/run.sh: run as root: it boots containers" >&2
    exit 77
fi
deploy/setup.sh packages systemd-container mmdebstrap
deploy/setup.sh python
place=$PWD/out/operation
mkdir -p "$place"
if [[ ! -f $place/debian.tar ]]; then
    packages=systemd,systemd-sysv,dbus,procps,curl,ca-certificates
    packages+=,libmicrohttpd12,libsqlite3-0,libcurl4,libssl3,libmimalloc2.0
    mmdebstrap --format=tar --variant=minbase --include="$packages" bookworm \
        "$place/debian.tar.partial"
    mv "$place/debian.tar.partial" "$place/debian.tar"
fi
rm -rf "$place/installed"
make install DESTDIR="$place/installed" ${BINARY:+BINARY="$BINARY"}
export LBFGSD_OPERATION=$place
exec .venv/bin/python -m pytest Tests/operation -p no:cacheprovider "$@"
