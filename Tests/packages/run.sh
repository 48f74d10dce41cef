#!/usr/bin/env bash
# What the packages of `make deb` do on a Debian 12 machine. Needs root and the network; about a
# quarter of an hour beside `make deb`.
#
#   Tests/packages/run.sh [STEP ...]
#
#   lintian       no error and no warning
#   piuparts      installation and purging leave nothing
#   machine       booted: from the package to the first optimum, the same bits with AVX2 and
#                 without, Python, removal, purging; debian/tests by autopkgtest
#   wheel         from `make wheel` and from `make sdist` to the first optimum, by pip
#   image         the OCI image: as another user than root, with a health check
#   reproducible  packages again from the same binaries, in another folder: the same bytes
#   twice         the binaries again, from a copy of the sources in another folder: the same bytes.
#                 Compiles for a quarter of an hour, so it is done only if it is named
set -euo pipefail
cd "$(dirname "$0")/../.."

if ((EUID != 0)); then
    echo "Tests/packages/run.sh: run as root: it boots containers" >&2
    exit 77
fi
steps=("$@")
if (($# == 0)); then steps=(lintian piuparts machine wheel image reproducible); fi
deploy/setup.sh packages apt-utils lintian mmdebstrap piuparts systemd-container
place=$PWD/out/packages
mkdir -p "$place"
if ! compgen -G 'out/deb/*.changes' >/dev/null; then make deb; fi

# A machine as small as can be booted, and beside it what the packages and their tests depend on.
prepare() {
    if [[ -f $place/debian.tar ]]; then return; fi
    local later=(
        libmicrohttpd12 libsqlite3-0 libcurl4 libssl3 libmimalloc2.0 libstdc++6 curl python3
        python3-numpy python3-pycurl python3-httpx autopkgtest dpkg-repack gcc libc6-dev pkg-config
        python3-venv
    )
    rm -rf "$place/mirror"
    mkdir "$place/mirror"
    mmdebstrap --format=tar --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates \
        --customize-hook="chroot \"\$1\" apt-get install -qq --download-only \
            --no-install-recommends ${later[*]} >/dev/null" \
        --customize-hook="cp \"\$1\"/var/cache/apt/archives/*.deb '$place/mirror/'" \
        bookworm "$place/debian.tar.partial"
    mv "$place/debian.tar.partial" "$place/debian.tar"
}

lintian_finds_nothing() {
    lintian --allow-root --fail-on error,warning --tag-display-limit 0 out/deb/*.changes
}

piuparts_passes() {
    # The archive that this machine has its packages from.
    local work archive
    # shellcheck disable=SC2016 # It is apt's variable.
    archive=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
    work=$(mktemp -d)
    gzip -1 <"$place/debian.tar" >"$work/debian.tar.gz"
    piuparts --no-eatmydata --basetgz="$work/debian.tar.gz" --distribution=bookworm \
        --mirror="$archive main" --no-upgrade-test out/deb/*.deb \
        >"$place/piuparts.log" 2>&1 || { tail -n 40 "$place/piuparts.log"; return 1; }
    rm -r "$work"
    grep PASS "$place/piuparts.log"
}

machine_passes() {
    deploy/setup.sh python
    rm -rf "$place/packages"
    mkdir "$place/packages"
    cp "$place"/mirror/*.deb out/deb/*.deb "$place/packages/"
    (cd "$place/packages" && apt-ftparchive packages . >Packages)
    # The tests, as autopkgtest takes them from a source package.
    mkdir "$place/packages/source"
    cp -r out/deb/lbfgsd-*/debian "$place/packages/source/"
    LBFGSD_OPERATION=$place .venv/bin/python -m pytest Tests/packages -p no:cacheprovider -rP
}

packages_are_reproducible() {
    rm -rf "$place/again"
    deploy/packages/deb.sh .build-deb "$place/again" >/dev/null
    local package
    for package in out/deb/*.deb; do
        cmp "$package" "$place/again/$(basename "$package")" || return
    done
    echo "the same bytes: $(cd out/deb && echo *.deb)"
}

binaries_are_reproducible() {
    local copy=$place/copy file
    rm -rf "$copy"
    git clone --quiet . "$copy"
    cp Package.resolved "$copy/"
    "$copy/deploy/packages/compile.sh" .build x86-64 x86-64-v3
    for file in {x86-64,x86-64-v3}/release/{lbfgsd,liblbfgsd-engine.so}; do
        cmp ".build-deb/$file" "$copy/.build/$file" || return
        echo "the same bytes: $file"
    done
}

failed=()
prepare
for step in "${steps[@]}"; do
    began=$SECONDS
    echo "==> $step"
    status=0
    case $step in
        lintian) lintian_finds_nothing || status=$? ;;
        piuparts) piuparts_passes || status=$? ;;
        machine) machine_passes || status=$? ;;
        wheel) Tests/packages/wheel.sh "$place/debian.tar" || status=$? ;;
        image) Tests/packages/image.sh || status=$? ;;
        reproducible) packages_are_reproducible || status=$? ;;
        twice) binaries_are_reproducible || status=$? ;;
        *) echo "Tests/packages/run.sh: no step $step" >&2; exit 64 ;;
    esac
    echo "==> $step: $((SECONDS - began)) s, status $status"
    if ((status != 0)); then failed+=("$step"); fi
done
if ((${#failed[@]} > 0)); then
    echo "failed: ${failed[*]}"
    exit 1
fi
