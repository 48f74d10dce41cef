#!/bin/bash
# The health check of the OCI image, which has no curl: status 0 if the daemon says it is ready.
set -eu
port=${LBFGSD_LISTEN##*:}
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /readyz HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n\r\n' "$port" >&3
read -r _ status _ <&3
[[ $status == 200 ]]
