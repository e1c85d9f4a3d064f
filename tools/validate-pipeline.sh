#!/bin/sh
# Validates each combination of base file and overlays in collector-config/ with the program that runs it. A warning
# counts as a failure: the Collector warns about a deprecated component name, and removes the name two versions later.
#
# Environment: OTELCOL, JAEGER (the programs).
set -eu
cd "$(dirname "$0")/../collector-config"

# Set the environment variables that the configuration files read. Validation does not open the paths in them, and does
# not connect to the addresses.
export SIGHTLINE_QUEUE_DIR=/queue SIGHTLINE_BADGER_DIR=/badger SIGHTLINE_LOGS_FILE=/logs.json
export SIGHTLINE_TRACES_ENDPOINT=jaeger:4317
export SIGHTLINE_GATEWAY_SERVICE=gateway-headless.sightline SIGHTLINE_GATEWAY_ENDPOINT=gateway:4317
export KUBE_NODE_NAME=node
export SIGHTLINE_STORE_ADDRESSES=https://one:9200,https://two:9200
export SIGHTLINE_STORE_USERNAME=jaeger SIGHTLINE_STORE_PASSWORD=secret

failed=0
# check PROGRAM FILE...: validates the files as one configuration and prints the result.
check() {
    program=$1 names=
    shift
    for file in "$@"; do
        names="$names${names:+ + }$file"
        set -- "$@" --config "$file"
        shift
    done
    if ! output=$("$program" validate "$@" 2>&1); then
        failed=1
        echo "invalid: $names"
        echo "$output"
    elif echo "$output" | grep -qiE 'warn|deprecat'; then
        failed=1
        echo "warns:   $names"
        echo "$output"
    else
        echo "valid:   $names"
    fi
}

for base in agent gateway jaeger; do
    case $base in
        jaeger) program=${JAEGER:-../bin/jaeger} ;;
        *) program=${OTELCOL:-../bin/otelcol} ;;
    esac
    for overlay in "$base"-*.yaml; do
        # These two overlays are loaded after another overlay.
        case $overlay in *-insecure.yaml | *-backend.yaml) continue ;; esac
        export SIGHTLINE_TLS_DIR=/tls
        check "$program" "$base.yaml" "$overlay"
        [ ! -e "$base-backend.yaml" ] || check "$program" "$base.yaml" "$overlay" "$base-backend.yaml"
        # Without TLS, the files must not use the certificate directory.
        unset SIGHTLINE_TLS_DIR
        check "$program" "$base.yaml" "$overlay" "$base-insecure.yaml"
        [ ! -e "$base-backend.yaml" ] \
            || check "$program" "$base.yaml" "$overlay" "$base-insecure.yaml" "$base-backend.yaml"
    done
done
exit $failed
