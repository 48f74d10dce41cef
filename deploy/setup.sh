#!/usr/bin/env bash
# Makes a Debian machine with a Swift toolchain ready to build and test.
#
#   setup.sh packages [NAME ...]   Debian packages: what the build needs, and those named
#   setup.sh page                  .build-page with the library that draws the page's charts
#   setup.sh demo-python           .venv with what the clients and the demo import
#   setup.sh python                .venv with what the tests import too
#   setup.sh docs                  .venv with what builds the site too
#   setup.sh torch                 torch into .venv, if it can be had: see make_torch
#   setup.sh cpu                   prints what the engine may be compiled for to run here fastest
#
# Installs only what is missing, so a machine that has it all needs neither network nor root.
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages=(
    libmicrohttpd-dev libsqlite3-dev libcurl4-openssl-dev libssl-dev libmimalloc-dev pkg-config curl
    make
)

is_installed() {
    dpkg-query --show --showformat='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

install_packages() {
    local missing=()
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    if ((${#missing[@]} == 0)); then return; fi
    local as_root=()
    if ((EUID != 0)); then as_root=(sudo); fi
    echo "setup: installing ${missing[*]}" >&2
    "${as_root[@]}" apt-get update -q >&2
    # RUNLEVEL keeps packaged services from being started.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
}

# make_venv DIRECTORY: an empty one, if there is none yet.
make_venv() {
    # Debian splits ensurepip from python3; other builds of Python have it.
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    [[ -x $1/bin/python ]] || python3 -m venv "$1"
}

# install_python STAMP REQUIREMENTS: into .venv, unless STAMP says that was done.
install_python() {
    local stamp=.venv/$1
    if [[ -f $stamp && $stamp -nt Tests/requirements.txt && $stamp -nt demo/requirements.txt ]]; then
        return
    fi
    make_venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement "$2" >&2
    touch "$stamp"
}

# torch is too large to be fetched for a test run: it is taken if .venv has it, from the wheel that
# LBFGSD_TORCH_WHEEL names, or from a CPU wheel for this Python that lies on the machine. Without
# any of these the tests against torch are skipped, and say so.
make_torch() {
    if .venv/bin/python -c 'import torch' 2>/dev/null; then return; fi
    local python wheel
    python=$(.venv/bin/python -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
    wheel=${LBFGSD_TORCH_WHEEL:-$(find / -xdev -name "torch-2*cpu-$python-$python-*.whl" \
        -print -quit 2>/dev/null || true)}
    if [[ -z $wheel ]]; then
        echo "setup: no torch and no wheel of it: tests against torch will be skipped" >&2
        return
    fi
    echo "setup: installing $(basename "$wheel")" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$wheel" >&2
}

# The site's builder, beside what the tests import: pages have the docstrings of the client.
make_docs() {
    install_python complete Tests/requirements.txt
    local stamp=.venv/docs
    if [[ -f $stamp && $stamp -nt docs/site/requirements.txt &&
        $stamp -nt docs/site/requirements-viewer.txt ]]; then
        return
    fi
    local -a install=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
    "${install[@]}" --requirement docs/site/requirements.txt >&2
    "${install[@]}" --no-deps --requirement docs/site/requirements-viewer.txt >&2
    touch "$stamp"
}

# The files that Sources/CPage embeds, out of the Python package that carries them. Both the package
# and the files are known by their digests.
make_page() {
    local folder=.build-page package
    if (cd "$folder" 2>/dev/null && sha256sum --check --status ../deploy/page.sha256); then
        return
    fi
    make_venv .venv
    rm -rf "$folder"
    .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes --requirement deploy/page-requirements.txt \
        --dest "$folder/package" >&2
    package=$(echo "$folder"/package/*.whl)
    .venv/bin/python -m zipfile --extract "$package" "$folder/package/unpacked"
    mv "$folder/package/unpacked/youplot/vendor/uplot.iife.min.js" "$folder/uplot.js"
    rm -rf "$folder/package"
    (cd "$folder" && sha256sum --check --quiet ../deploy/page.sha256 >&2)
}

# AVX2 and what comes with it, by the dynamic loader's own judgement; nothing on other machines.
print_cpu() {
    local loader=/lib64/ld-linux-x86-64.so.2
    if [[ -x $loader ]] && "$loader" --help | grep -q 'x86-64-v3 (supported'; then
        echo x86-64-v3
    fi
}

case "${1-}" in
    packages) install_packages "${build_packages[@]}" "${@:2}" ;;
    page) make_page ;;
    demo-python) install_python demo demo/requirements.txt ;;
    python) install_python complete Tests/requirements.txt ;;
    docs) make_docs ;;
    torch) make_torch ;;
    cpu) print_cpu ;;
    *)
        sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
        exit 64
        ;;
esac
