#!/bin/sh
# Builds an image for each service of sightline.toml and each line of the file `images`, and gets the images of Jaeger, the
# stores, vmauth and vmalert. Prints a table of sizes at the end, and exits with code 1 if an image is over its size limit.
#
#   deploy/images/build.sh [list]      `list` only prints the full names of the images, one on each line
#   deploy/images/build.sh image NAME:TAG FILE DESCRIPTION
#                                      builds only this image, of a static program that exists already
#
# OTELCOL, JAEGER, VICTORIA_METRICS, VICTORIA_LOGS, VMAUTH and VMALERT are the paths of the Go programs, by default in bin/.
# JAEGER_UI is the directory of Jaeger's UI, by default bin/jaeger-ui, or `embedded` if the UI is compiled into JAEGER.
# tools/build-rust.sh reads more.
set -eu
cd "$(dirname "$0")/../.."
here=deploy/images
jaeger_image=docker.io/jaegertracing/jaeger:$(tools/version.sh jaeger)
version=$(tools/version.sh)

# Prints the name of each image of VictoriaMetrics, VictoriaLogs, vmauth and vmalert, its program and its sources. The versions are those of
# go.mod, and a test of the chart compares them with its values.
stores() {
    for program in victoria-metrics victoria-logs vmauth vmalert; do
        case $program in
            victoria-logs) module=victoria-logs path=github.com/VictoriaMetrics/VictoriaLogs ;;
            *) module=victoria-metrics path=github.com/VictoriaMetrics/VictoriaMetrics ;;
        esac
        tag=$(awk -v path="$path" '{ for (i = 1; i < NF; i++) if ($i == path) print $(i + 1) }' "tools/$module/go.mod")
        echo "docker.io/victoriametrics/$program:$tag $program tools/$module"
    done
}

# The size limit of the image of a service, in MB.
service_limit=15

stop() {
    echo "$*" >&2
    exit 1
}

# Prints a line for each image, in the form of the file `images`.
table() {
    tools/services.sh | while read -r name package; do
        echo "$name $package $service_limit Service $name"
    done
    grep -v '^#' "$here/images"
}

if [ "${1-}" = list ]; then
    table | while read -r name _; do echo "sightline/$name:$version"; done
    echo "$jaeger_image"
    stores | cut -d ' ' -f 1
    exit 0
fi

revision=$(git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null || echo unknown)
work=$(mktemp -d)
mkdir "$work/context"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# BuildKit adds attestations by default, and kind cannot load an image that has them.
export BUILDX_NO_DEFAULT_ATTESTATIONS=1

# image NAME:TAG PROGRAM FILE VERSION DESCRIPTION [UI]: builds one image, with the directory UI of Jaeger's UI. Only the
# program and the UI, not the checkout, are sent to the Docker daemon.
image() {
    stage=program
    if readelf -lW "$3" 2>/dev/null | grep -q INTERP; then
        stop "$3 needs shared libraries, and the image has none: build a static program (Go: CGO_ENABLED=0)"
    fi
    rm -rf "$work/context/"*
    # The file mode of the program is set here, because the classic builder does not support COPY --chmod.
    install -m 0755 "$3" "$work/context/$2"
    if [ -n "${6-}" ]; then
        stage=jaeger
        cp -R "$6" "$work/context/jaeger-ui"
        chmod -R u=rwX,go=rX "$work/context/jaeger-ui"
    fi
    sed "s/PROGRAM/$2/g" "$here/Dockerfile" | docker build --quiet --file - --target "$stage" --tag "$1" \
        --build-arg TITLE="$2" --build-arg DESCRIPTION="$5" --build-arg VERSION="$4" --build-arg REVISION="$revision" \
        "$work/context" >"$work/log" 2>&1 || { cat "$work/log" >&2; stop "$1: docker build failed; its output is above"; }
}

if [ "${1-}" = image ]; then
    [ $# = 4 ] || stop "usage: deploy/images/build.sh image NAME:TAG FILE DESCRIPTION"
    image "$2" "$(basename "$3")" "$3" "$version" "$4"
    exit 0
fi

built=$(tools/build-rust.sh static)

# row NAME:TAG BYTES LIMIT: adds a line to the table of sizes. For our images, BYTES is the size of the program, because
# the image size that Docker prints depends on Docker's storage driver.
row() { awk -v image="$1" -v bytes="$2" -v limit="$3" 'BEGIN {
    over = limit ~ /^[0-9]+$/ && bytes > limit * 1e6
    printf "  %-52s %6.1f MB   limit %s%s\n", image, bytes / 1e6, limit, over ? "   OVER" : ""
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

# Sets `ui` to the directory of Jaeger's UI. The official image has the UI in its program, and an image that is built here
# has it in this directory.
jaeger_ui() {
    ui=${JAEGER_UI:-bin/jaeger-ui}
    case $ui in
        embedded) ui= ;;
        bin/jaeger-ui | "$PWD/bin/jaeger-ui") make --no-print-directory --silent bin/jaeger-ui ;;
    esac
    [ -z "$ui" ] || [ -f "$ui/index.html" ] ||
        stop "$ui/index.html does not exist: unset JAEGER_UI, so that make copies the UI into bin/jaeger-ui"
}

# official IMAGE PROGRAM VARIABLE SOURCES NAME: gets an official image. If it cannot be pulled, an image with the same
# program, which has the same flags, is built here, and the next run tries to pull the official image again. VARIABLE
# names the environment variable with the path of the program.
official() {
    image=$1 program=$2 ui=
    substitute="$5 built from source"
    found=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.description"}}' \
        "$image" 2>/dev/null) || found=$substitute
    case $found in
        "$substitute"*) is_official=false ;;
        *) is_official=true ;;
    esac
    if $is_official; then
        note="official"
    elif docker pull --quiet "$image" >"$work/log" 2>&1; then
        note="official, pulled"
    else
        echo "$image cannot be pulled, so it is built from $4"
        echo "  ($(tail -n 1 "$work/log"))"
        file=$(eval "echo \"\${$3:-bin/$program}\"")
        [ -x "$file" ] || make --no-print-directory "bin/$program"
        [ -x "$file" ] || stop "$file does not exist: unset $3, so that make builds bin/$program"
        [ "$program" != jaeger ] || jaeger_ui
        image "$image" "$program" "$file" "${image##*:}" "$substitute" "$ui"
        note="built here"
    fi
    size=$(docker image inspect --format '{{.Size}}' "$image")
    row "$image" "$size" "none ($note)"
}

official "$jaeger_image" jaeger JAEGER "tools/jaeger and tools/jaeger-ui" Jaeger
stores | while read -r image program sources; do
    variable=$(echo "$program" | tr '[:lower:]-' '[:upper:]_')
    official "$image" "$program" "$variable" "$sources" "$program"
done

cat "$work/table"
! grep -q ' OVER$' "$work/table" || stop "an image is over its size limit"
