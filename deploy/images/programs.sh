#!/bin/sh
# Builds the static Rust programs for the images, and prints the directory that contains the programs.
#
# Environment: IMAGE_TARGET (the Rust target, the host's by default), RUSTFLAGS, CARGO_TARGET_DIR.
set -eu
cd "$(dirname "$0")/../.."

host=$(rustc -vV | sed -n 's/^host: //p')
target=${IMAGE_TARGET:-$host}
case $target in
    *-linux-gnu | *-linux-musl) ;;
    *)
        # An image has no libraries, so it needs a static Linux program.
        echo "images need Linux programs, and the Rust target $target does not build them: run this on Linux (a virtual" \
            "machine or a container with Rust and the Docker socket works), or set a Rust target that you have a linker" \
            "for: IMAGE_TARGET=$(uname -m | sed s/arm64/aarch64/)-unknown-linux-musl" >&2
        exit 1
        ;;
esac

packages=$(tools/services.sh packages | sed 's/^/--package /')
# `--target` is given even if the target is the host: without `--target`, RUSTFLAGS would also apply to procedural
# macros, which must be shared libraries. With glibc 2.34 or later, a static program can resolve names with DNS.
# $packages is split into words on purpose.
# shellcheck disable=SC2086
RUSTFLAGS="${RUSTFLAGS-} -C target-feature=+crt-static" \
    cargo build --profile image --target "$target" --package sightline $packages >&2
programs=${CARGO_TARGET_DIR:-target}/$target/image
# The commands in the documents run bin/sightline, so it must be a program for the host.
if [ "$target" = "$host" ]; then
    mkdir -p bin
    install -m 0755 "$programs/sightline" bin/sightline
fi
echo "$programs"
