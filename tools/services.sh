#!/bin/sh
# Prints the services in sightline.toml that are Cargo packages.
#
#   tools/services.sh              print a line for each service: its name and its package
#   tools/services.sh packages     print each package once
#
# `make build` and the scripts for images use this script and not `sightline services`, because they would first have to
# build that program alone, which compiles some dependencies twice. The unit tests of the program compare the two.
set -eu
cd "$(dirname "$0")/.."

services() {
    awk -F '"' '
        /^\[services\.[^].]*\]/ { name = $0; gsub(/^\[services\."?|"?\].*$/, "", name) }
        /^package *=/ { print name, $2 }
    ' sightline.toml
}

case ${1-} in
    '') services ;;
    packages) services | awk '!seen[$2]++ { print $2 }' ;;
    *)
        echo "tools/services.sh: unknown argument '$1': use no argument, or packages" >&2
        exit 2
        ;;
esac
