#!/usr/bin/env bash
# Makes an OCI image of the Debian package: Debian 12 and what the package depends on, by
# mmdebstrap and buildah. Needs root and the network.
#
#   image.sh PACKAGE ARCHIVE
#
# ARCHIVE is a file for `podman load` or `docker load`, in Docker's form: OCI's has no health
# checks. The daemon runs as user 10001, keeps its data in the volume /var/lib/lbfgsd, and reads
# tokens from /run/secrets/lbfgsd-tokens, without which it does not listen on other addresses than
# loopback. BUILDAH_FLAGS is for machines without overlay: "--storage-driver vfs".
set -euo pipefail
cd "$(dirname "$0")/../.."
package=$(realpath "$1")
archive=$(realpath -m "$2")
version=$(dpkg-deb --field "$package" Version)
read -ra flags <<<"${BUILDAH_FLAGS:---storage-driver vfs}"
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l deploy/debian/changelog -S Timestamp)
# For `buildah config`, which otherwise warns about health checks.
export SOURCE_DATE_EPOCH BUILDAH_FORMAT=docker

work=$(mktemp -d)
flags+=(--root "$work/storage" --runroot "$work/run")
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --format=tar --variant=minbase \
    --dpkgopt='path-exclude=/usr/share/{doc,man,locale}/*' \
    --customize-hook="cp '$package' \"\$1/tmp/lbfgsd.deb\"" \
    --customize-hook="chroot \"\$1\" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
        --no-install-recommends /tmp/lbfgsd.deb >/dev/null" \
    --customize-hook="rm \"\$1/tmp/lbfgsd.deb\"" \
    --customize-hook="install -m 0755 deploy/packages/health.sh \
        \"\$1/usr/libexec/lbfgsd/health\"" \
    --customize-hook="install -d -m 0700 -o 10001 -g 10001 \"\$1/var/lib/lbfgsd\"" \
    bookworm "$work/root.tar"

container=$(buildah "${flags[@]}" from scratch)
buildah "${flags[@]}" add --quiet "$container" "$work/root.tar" / >/dev/null
buildah "${flags[@]}" config --user 10001:10001 --port 8080 --volume /var/lib/lbfgsd \
    --workingdir / --stop-signal SIGTERM \
    --env LBFGSD_LISTEN=0.0.0.0:8080 --env LBFGSD_DATA=/var/lib/lbfgsd \
    --env LBFGSD_TOKEN_FILE=/run/secrets/lbfgsd-tokens \
    --entrypoint '["/usr/bin/lbfgsd"]' --cmd serve \
    --healthcheck 'CMD /usr/libexec/lbfgsd/health' --healthcheck-interval 10s \
    --label org.opencontainers.image.title=lbfgsd \
    --label "org.opencontainers.image.version=$version" \
    --label org.opencontainers.image.licenses=Apache-2.0 "$container"
mkdir -p "$(dirname "$archive")"
rm -f "$archive"
buildah "${flags[@]}" commit --quiet --format docker --timestamp "$SOURCE_DATE_EPOCH" \
    "$container" "docker-archive:$archive:lbfgsd:$version" >/dev/null
ls -1sh "$archive"
