#!/bin/sh
# Pushes the images and the packaged chart to REGISTRY. If cosign is installed, signs each of them.
#
#   tools/release/push.sh REGISTRY       REGISTRY is an address such as ghcr.io/example
#
# Environment: HELM (the program). Docker and Helm must be logged in to the registry.
set -eu
cd "$(dirname "$0")/../.."
registry=${1:?usage: tools/release/push.sh REGISTRY}
version=$(tools/version.sh)

sign() {
    if command -v cosign >/dev/null; then
        cosign sign --yes "$1"
    else
        echo "$1: not signed: cosign is not installed"
    fi
}

# Jaeger's image is not pushed, because the Jaeger project publishes it in its own registry.
deploy/images/build.sh list | grep '^sightline/' | while read -r image; do
    docker tag "$image" "$registry/$image"
    docker push "$registry/$image"
    sign "$(docker inspect --format '{{index .RepoDigests 0}}' "$registry/$image")"
done

"$HELM" push "dist/sightline-$version.tgz" "oci://$registry/charts" 2>&1 | tee dist/push.txt
sign "$registry/charts/sightline@$(sed -n 's/^Digest: //p' dist/push.txt)"
rm dist/push.txt
