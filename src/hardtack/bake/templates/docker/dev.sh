#!/bin/sh
# Written by `hardtack scaffold docker`; yours from here on.
#
#   ./dev.sh rebuild base    the base image with every model, anew
#   ./dev.sh restart app     the service of compose.dev.yml, with the code as it is now
#   ./dev.sh verify          every byte of the base image, and every model run, with no network
set -eu
cd "$(dirname "$0")"
engine=${ENGINE:-docker}
image=${IMAGE:-@image@-base}

case "$*" in
  "rebuild base")
    # shellcheck disable=SC2086  # BUILD_FLAGS are words: --secret id=hf_token,src=FILE, --build-arg NAME=VALUE
    DOCKER_BUILDKIT=1 "$engine" build ${BUILD_FLAGS:-} -f Dockerfile.base -t "$image" . ;;
  "restart app")
    "$engine" compose -f compose.dev.yml up --detach --build --force-recreate app ;;
  "verify")
    "$engine" run --rm --network none --read-only --tmpfs /tmp "$image" hardtack prove ;;
  *)
    sed -n 's/^#   //p' "$0" >&2
    exit 2 ;;
esac
