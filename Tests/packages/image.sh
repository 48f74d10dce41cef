#!/usr/bin/env bash
# Makes the OCI image and runs it, as buildah does without a container runtime: as the image's user,
# with its files and its environment, on the machine's network.
set -euo pipefail
cd "$(dirname "$0")/../.."

deploy/setup.sh packages buildah curl mmdebstrap
archive=$PWD/out/packages/lbfgsd-image.tar
deploy/packages/image.sh out/deb/lbfgsd_*.deb "$archive"

work=$(mktemp -d)
daemon=
cleanup() {
    if [[ -n $daemon ]]; then kill "$daemon" 2>/dev/null || true; wait "$daemon" || true; fi
    rm -rf "$work"
}
trap cleanup EXIT
flags=(--storage-driver vfs --root "$work/storage" --runroot "$work/run")
image=$(buildah "${flags[@]}" pull --quiet "docker-archive:$archive")
buildah "${flags[@]}" inspect --type image "$image" >"$work/image.json"
python3 - "$work/image.json" <<'P'
import json, sys

config = json.load(open(sys.argv[1]))["Docker"]["config"]
assert config["User"] == "10001:10001", config
assert config["Healthcheck"]["Test"] == ["CMD", "/usr/libexec/lbfgsd/health"], config
assert config["Entrypoint"] == ["/usr/bin/lbfgsd"] and config["Cmd"] == ["serve"], config
P
container=$(buildah "${flags[@]}" from "$image")
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
inside=(buildah "${flags[@]}" run --isolation chroot --env "LBFGSD_LISTEN=127.0.0.1:$port"
    --env LBFGSD_TOKEN_FILE= "$container" --)

[[ $("${inside[@]}" id -u) == 10001 ]]
if "${inside[@]}" /usr/libexec/lbfgsd/health 2>/dev/null; then
    echo "the health check passes without a daemon"
    exit 1
fi
# Without tokens it does not listen on every address.
if buildah "${flags[@]}" run --isolation chroot "$container" -- /usr/bin/lbfgsd serve \
    >"$work/refused" 2>&1; then
    echo "it serves everybody without tokens"
    exit 1
fi
grep -q token "$work/refused"

"${inside[@]}" env -u LBFGSD_TOKEN_FILE /usr/bin/lbfgsd serve >"$work/log" 2>&1 &
daemon=$!
for _ in $(seq 100); do
    if "${inside[@]}" /usr/libexec/lbfgsd/health 2>/dev/null; then break; fi
    sleep 0.2
done
"${inside[@]}" /usr/libexec/lbfgsd/health || { cat "$work/log"; exit 1; }
curl -fsS -H 'Content-Type: application/json' -d '{"x0": [3, -2]}' \
    "http://127.0.0.1:$port/v1/sessions" | grep -q '"state":"idle"' || { cat "$work/log"; exit 1; }
echo "the image serves as user 10001, and its health check passes"
