#!/bin/sh
# Copies the files of Jaeger's UI from the crate that Cargo.toml pins into bin/jaeger-ui. Cargo downloads the crate and
# compares it with the checksum in Cargo.lock. If Cargo has already downloaded it, no network is needed.
set -eu
cd "$(dirname "$0")/../.."
crate=otlp-embedded

if ! command -v cargo >/dev/null; then
    echo "cargo is missing, and bin/jaeger-ui needs it: install Rust from https://rustup.rs, or use an existing UI:" \
        "make JAEGER_UI=/path/to/the/directory" >&2
    exit 1
fi
work=$(mktemp -d)
partial=bin/.jaeger-ui.$$
old=$partial.old
trap 'rm -rf "$work" "$partial" "$old"' EXIT
trap 'exit 130' INT TERM

# The crate's own dependencies are downloaded too, because Cargo reads their manifests. The filter leaves out those of
# other systems.
if ! cargo metadata --manifest-path tools/jaeger-ui/Cargo.toml --format-version 1 --locked --all-features \
    --filter-platform "$(rustc -vV | sed -n 's/^host: //p')" >"$work/metadata" 2>"$work/log"; then
    cat "$work/log" >&2
    echo "bin/jaeger-ui: cargo cannot get the crate $crate, which contains the UI; its output is above. The first" \
        "build needs the network. To use an existing UI: make JAEGER_UI=/path/to/the/directory" >&2
    exit 1
fi
manifest=$(sed -n "s/.*\"manifest_path\":\"\([^\"]*\/$crate-[^\"/]*\/Cargo.toml\)\".*/\1/p" "$work/metadata")
source=${manifest%/Cargo.toml}/jaeger-ui
if [ ! -f "$source/build/index.html" ]; then
    echo "bin/jaeger-ui: the crate $crate has no file jaeger-ui/build/index.html (looked in '$source'): a new version may" \
        "have moved the UI, so adapt tools/jaeger-ui/copy.sh" >&2
    exit 1
fi

mkdir -p "$partial"
cp -R "$source/build/." "$partial"
# The licence must be part of each copy of the UI, such as the one in an image.
cp "$source/LICENSE" "$partial/LICENSE"
chmod -R u=rwX,go=rX "$partial"
if diff -r "$partial" bin/jaeger-ui >/dev/null 2>&1; then
    touch bin/jaeger-ui
    exit 0
fi
# Renames replace the directory as a whole, so no process sees an incomplete UI.
if [ -e bin/jaeger-ui ]; then mv bin/jaeger-ui "$old"; fi
mv "$partial" bin/jaeger-ui
touch bin/jaeger-ui
echo "bin/jaeger-ui: copied from the crate $(basename "${manifest%/Cargo.toml}")"
