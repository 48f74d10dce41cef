#!/usr/bin/env bash
# Compiles the daemon and the C library for packages.
#
#   compile.sh FOLDER CPU ...      into FOLDER/CPU/release; x86-64 is any of them
#
# FOLDER is used again the next time. No path, time or debug information of the build gets into the
# files, so the same sources and the same Swift give the same bytes.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$1
shift

# What the daemon's page is drawn by.
deploy/setup.sh page
mkdir -p "$folder"
swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' >"$folder/swift-version"
for cpu in "$@"; do
    for product in lbfgsd lbfgsd-engine; do
        LBFGSD_CPU=$([[ $cpu == x86-64 ]] || echo "$cpu") swift build -c release \
            --explicit-target-dependency-import-check error --static-swift-stdlib \
            --scratch-path "$folder/$cpu" -debug-info-format none \
            -Xswiftc -file-prefix-map -Xswiftc "$PWD=." -Xcc "-ffile-prefix-map=$PWD=." \
            -Xlinker -z -Xlinker now \
            --product "$product"
    done
done
