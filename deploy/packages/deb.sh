#!/usr/bin/env bash
# Builds the Debian packages from what compile.sh has left in a folder.
#
#   deb.sh FOLDER [OUT]      into OUT, by default out/deb: the packages and the source tree
#
# The tree has the files that git knows or would add, with the times of the changelog's last entry.
set -euo pipefail
cd "$(dirname "$0")/../.."
binaries=$(realpath "$1")
out=${2:-out/deb}

version=$(dpkg-parsechangelog -l deploy/debian/changelog -S Version)
tree=$out/lbfgsd-$version
rm -rf "$out"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard |
    tar -c --null --files-from=- | tar -x -C "$tree"
cp Package.resolved "$tree/"
mv "$tree/deploy/debian" "$tree/debian"
find "$tree" -exec touch --no-dereference --date="@$(
    dpkg-parsechangelog -l deploy/debian/changelog -S Timestamp
)" {} +

# Debian's own Python and tools, and no more than these and Swift.
swift=$(dirname "$(command -v swift)")
cd "$tree"
env -i PATH="/usr/sbin:/usr/bin:/sbin:/bin:$swift" HOME="$HOME" LC_ALL=C.UTF-8 \
    LBFGSD_BINARIES="$binaries" \
    dpkg-buildpackage --build=binary --unsigned-changes --no-check-builddeps >../build.log 2>&1 || {
    tail -n 40 ../build.log >&2
    exit 1
}
cd ..
ls -1sh -- *.deb
