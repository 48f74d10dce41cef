#!/usr/bin/env bash
# Prints the Debian packages that `make deb` needs, which deploy/debian/control names.
set -euo pipefail
cd "$(dirname "$0")/../.."

sed -n '/^Build-Depends:/,/^[A-Z][a-z-]*: /p' deploy/debian/control |
    sed -n -e 's/debhelper-compat.*/debhelper,/' -e 's/dh-sequence-python3/dh-python/' \
        -e 's/^ \([a-z0-9.-]*\),.*/\1/p'
echo dpkg-dev fakeroot
