#!/bin/sh
# Builds bin/NAME from a pinned Go module. If the cache contains a build of the same sources, copies that build instead.
#
#   tools/build-go.sh NAME MODULE-DIRECTORY PACKAGE MINUTES [LINKER-FLAGS]
#
# MINUTES is the usual build time on two cores. `go build` prints nothing while it works, so this script prints
# progress. Programs are linked statically by default. Set CGO_ENABLED=1 for a program that contains C code. With
# CACHED_ONLY=1, the script fails instead of building a program that is not in the cache.
set -eu
cd "$(dirname "$0")/.."
name=$1 module=$2 package=$3 minutes=$4
ldflags="-s -w ${5-}"
export CGO_ENABLED="${CGO_ENABLED:-0}"

cache=${SIGHTLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sightline}
key=$({ uname -sm; echo "$ldflags"; cat "$module/go.mod" "$module/go.sum"; find "$module" -name '*.go' ! -name '*_test.go' | LC_ALL=C sort | xargs cat; } </dev/null \
    | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-16)
mkdir -p bin "$cache"
cached=$(cd "$cache" && pwd)/$name-$key

# A rename is atomic: a running program keeps the old file, and no process sees an incomplete file.
install_program() {
    cp "$cached" "bin/.$name.$$"
    mv "bin/.$name.$$" "bin/$name"
}

if [ -x "$cached" ]; then
    install_program
    echo "bin/$name: copied from $cached"
    exit 0
fi
if [ "${CACHED_ONLY:-0}" = 1 ]; then
    echo "bin/$name: not in $cache" >&2
    exit 1
fi
if ! command -v go >/dev/null; then
    variable=$(echo "$name" | tr '[:lower:]-' '[:upper:]_')
    echo "go is missing, and bin/$name needs it: install Go from https://go.dev/dl, or use an existing program: make $variable=/path/to/$name" >&2
    exit 1
fi

log=$(mktemp)
partial=$cached.$$
started=$(date +%s)
echo "bin/$name: building with Go, which takes about $minutes min on two cores; the result is cached in $cache"
(cd "$module" && exec go build -trimpath -ldflags "$ldflags" -o "$partial" "$package") >"$log" 2>&1 &
build=$!
trap 'kill "$build" 2>/dev/null || :; rm -f "$log" "$partial"' EXIT
trap 'exit 130' INT TERM

elapsed=0
while kill -0 "$build" 2>/dev/null; do
    sleep 1
    elapsed=$(($(date +%s) - started))
    [ $((elapsed % 15)) -ne 0 ] || echo "bin/$name: still building, ${elapsed} s"
done
if ! wait "$build"; then
    cat "$log" >&2
    echo "bin/$name: the build failed; the output of go build is above" >&2
    exit 1
fi
mv "$partial" "$cached"
install_program
echo "bin/$name: built in ${elapsed} s"
