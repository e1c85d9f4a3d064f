#!/bin/sh
# Builds every image of `images` and sees that Jaeger's is there; ends with a table of sizes, and with 1 if one is
# over its limit.
#
#   deploy/images/build.sh [list]      with `list`, only prints the images' full names, one a line
#
# OTELCOL and JAEGER are the Go programs (bin/ by default); IMAGE_TARGET is the Rust target, the host's by default.
set -eu
cd "$(dirname "$0")/../.."
here=deploy/images
jaeger_image=docker.io/jaegertracing/jaeger:2.13.0
# The charts' appVersion is the same.
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)

stop() {
    echo "$*" >&2
    exit 1
}

# The table without its comments.
table() { grep -v '^#' "$here/images"; }

if [ "${1-}" = list ]; then
    table | while read -r name _; do echo "sightline/$name:$version"; done
    echo "$jaeger_image"
    exit 0
fi

# An image holds a Linux program, and one that needs no library: there is none in there.
host=$(rustc -vV | sed -n 's/^host: //p')
target=${IMAGE_TARGET:-$host}
case $target in
    *-linux-gnu | *-linux-musl) ;;
    *)
        stop "images hold Linux programs, and $target makes none: run this on Linux (a virtual machine or a container" \
            "with Rust and Docker's socket does), or name a Rust target whose linker you have: make images" \
            "IMAGE_TARGET=$(uname -m | sed s/arm64/aarch64/)-unknown-linux-musl"
        ;;
esac

packages=$(table | awk '$2 != "otelcol" { print "--package", $2 }')
# The target is named although it may be the host: the flags would else go to procedural macros too, which are
# libraries. From glibc 2.34 on, what getaddrinfo needs to ask a DNS server is linked in.
# Word by word on purpose.
# shellcheck disable=SC2086
RUSTFLAGS="${RUSTFLAGS-} -C target-feature=+crt-static" \
    cargo build --profile image --target "$target" $packages
built=${CARGO_TARGET_DIR:-target}/$target/image
# The operator's program is of use here as well.
if [ "$target" = "$host" ]; then
    mkdir -p bin
    cp "$built/sightline" "bin/.sightline.$$"
    mv "bin/.sightline.$$" bin/sightline
fi

revision=$(git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null || echo unknown)
work=$(mktemp -d)
mkdir "$work/context"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# The attestations that BuildKit adds by itself make an image of several parts, which kind cannot load.
export BUILDX_NO_DEFAULT_ATTESTATIONS=1

# image NAME:TAG PROGRAM FILE VERSION DESCRIPTION. Only the program is sent to the daemon.
image() {
    if readelf -lW "$3" 2>/dev/null | grep -q INTERP; then
        stop "$3 needs shared libraries, and an image from scratch has none: build it static (Go: CGO_ENABLED=0)"
    fi
    rm -f "$work/context/"*
    # Not every builder knows COPY --chmod.
    install -m 0755 "$3" "$work/context/$2"
    sed "s/PROGRAM/$2/g" "$here/Dockerfile" | docker build --quiet --file - --tag "$1" \
        --build-arg TITLE="$2" --build-arg DESCRIPTION="$5" --build-arg VERSION="$4" --build-arg REVISION="$revision" \
        "$work/context" >"$work/log" 2>&1 || { cat "$work/log" >&2; stop "$1 could not be built: Docker's words are above"; }
}

# row NAME:TAG BYTES LIMIT: one line of the table at the end. An image weighs what its one program weighs; what Docker
# says of a size depends on how it stores images.
row() { awk -v image="$1" -v bytes="$2" -v limit="$3" 'BEGIN {
    over = limit ~ /^[0-9]+$/ && bytes > limit * 1e6
    printf "  %-42s %6.1f MB   limit %s%s\n", image, bytes / 1e6, limit, over ? "   OVER" : ""
}' >>"$work/table"; }

table >"$work/images"
while read -r name program limit description; do
    case $program in
        otelcol) file=${OTELCOL:-bin/otelcol} ;;
        *) file=$built/$program ;;
    esac
    image "sightline/$name:$version" "$program" "$file" "$version" "$description"
    row "sightline/$name:$version" "$(wc -c <"$file")" "$limit"
done <"$work/images"

# The official image has the UI. Ours is for where that one cannot be pulled, and each run tries again.
substitute="Jaeger built from source, without its UI"
there=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.description"}}' \
    "$jaeger_image" 2>/dev/null) || there=$substitute
if [ "$there" != "$substitute" ]; then
    note="official"
elif docker pull --quiet "$jaeger_image" >"$work/log" 2>&1; then
    note="official, pulled"
else
    echo "$jaeger_image cannot be pulled, so it is built from tools/jaeger: port 16686 will have its API and no UI"
    echo "  ($(tail -n 1 "$work/log"))"
    jaeger=${JAEGER:-bin/jaeger}
    [ -x "$jaeger" ] || make --no-print-directory bin/jaeger
    [ -x "$jaeger" ] || stop "JAEGER is $jaeger, which is not there: without it make builds one"
    image "$jaeger_image" jaeger "$jaeger" "${jaeger_image##*:}" "$substitute"
    note="built here, no UI"
fi
size=$(docker image inspect --format '{{.Size}}' "$jaeger_image")
row "$jaeger_image" "$size" "none ($note)"

cat "$work/table"
! grep -q ' OVER$' "$work/table" || stop "an image is over its limit in $here/images"
