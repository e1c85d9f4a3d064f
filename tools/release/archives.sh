#!/bin/sh
# Puts the files of a release into dist/: an archive of the static programs, the packaged chart, and their checksums.
#
# Environment: HELM (the program); tools/build-rust.sh reads more.
set -eu
cd "$(dirname "$0")/../.."
version=$(tools/version.sh)
programs=$(tools/build-rust.sh static)

mkdir -p dist
target=$(basename "$(dirname "$programs")")
archive=dist/sightline-$version-$target.tar.gz
names="sightline $(tools/services.sh packages)"
# The list is split into words on purpose.
# shellcheck disable=SC2086
tar -czf "$archive" -C "$programs" $names -C "$PWD" LICENSE README.md CHANGELOG.md
"$HELM" package helm/sightline --destination dist >/dev/null
(cd dist && sha256sum ./*.tar.gz ./*.tgz >SHA256SUMS)
ls -l dist
