#!/bin/sh
# Builds the Rust programs once for all uses: the static programs of the images, which `make up` and the tests run too.
#
#   tools/build-rust.sh host [PACKAGE]    puts the programs for this machine into bin/
#   tools/build-rust.sh static            the same, and prints the directory that contains static Linux programs
#
# The programs are `sightline`, the services of sightline.toml, and the program of PACKAGE. One call of Cargo builds
# them all, because several calls would compile some dependencies with different features.
#
# `host` also works where a static Linux program cannot be built: on other systems, and without a static C library. The
# programs in bin/ are then linked to the system's libraries.
#
# Environment: IMAGE_TARGET (the Rust target of the static programs, the host's by default), RUSTFLAGS,
# CARGO_TARGET_DIR.
set -eu
cd "$(dirname "$0")/.."

usage() {
    echo "usage: tools/build-rust.sh host [PACKAGE] | static" >&2
    exit 2
}

built=${CARGO_TARGET_DIR:-target}
host=$(rustc -vV | sed -n 's/^host: //p')
names="sightline $(tools/services.sh packages) ${2-}"
packages=$(for name in $names; do printf ' --package %s' "$name"; done)

# install_programs DIRECTORY: copies the programs into bin/. A rename is atomic: a running program keeps the old file.
# A program that has not changed keeps its modification time.
install_programs() {
    mkdir -p bin
    for name in $names; do
        cmp -s "$1/$name" "bin/$name" && continue
        cp "$1/$name" "bin/.$name.$$"
        mv "bin/.$name.$$" "bin/$name"
    done
}

# static TARGET: builds static programs.
# `--target` is given even if the target is the host: without `--target`, RUSTFLAGS would also apply to procedural
# macros, which must be shared libraries. With glibc 2.34 or later, a static program can resolve names with DNS.
static() {
    # $packages is split into words on purpose.
    # shellcheck disable=SC2086
    RUSTFLAGS="${RUSTFLAGS-} -C target-feature=+crt-static" \
        cargo build --profile image --target "$1" $packages >&2
    if [ "$1" = "$host" ]; then install_programs "$built/$1/image"; fi
}

# Whether this machine can link a static program. Some distributions put the static C library of glibc into a package
# of its own.
can_link_static() {
    case $host in
        *-linux-musl) ;;
        *-linux-gnu) [ -f "$(cc -print-file-name=libc.a)" ] ;;
        *) return 1 ;;
    esac
}

case ${1-} in
    host)
        if can_link_static; then
            static "$host"
        else
            case $host in
                *-linux-*) echo "the static C library is missing, so the programs in bin/ are not static, and make images will fail: install it (Fedora: dnf install glibc-static)" >&2 ;;
            esac
            # shellcheck disable=SC2086
            cargo build --release $packages
            install_programs "$built/release"
        fi
        ;;
    static)
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
        static "$target"
        echo "$built/$target/image"
        ;;
    *) usage ;;
esac
