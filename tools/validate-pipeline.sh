#!/bin/sh
# Checks each combination of layers in collector-config/ that is in use with the program that runs it. An old name of a
# component only warns, and is gone two versions later: a warning fails here.
#
# OTELCOL and JAEGER name the programs.
set -eu
cd "$(dirname "$0")/../collector-config"

# What the files ask for. Validation opens none of these.
export SIGHTLINE_QUEUE_DIR=/queue SIGHTLINE_BADGER_DIR=/badger SIGHTLINE_LOGS_FILE=/logs.json
export SIGHTLINE_JAEGER_ENDPOINT=jaeger:4317
export SIGHTLINE_GATEWAY_SERVICE=gateway-headless.sightline SIGHTLINE_GATEWAY_ENDPOINT=gateway:4317
export KUBE_NODE_NAME=node
export SIGHTLINE_STORE_ADDRESSES=https://one:9200,https://two:9200
export SIGHTLINE_STORE_USERNAME=jaeger SIGHTLINE_STORE_PASSWORD=secret

failed=0
# check PROGRAM FILE...
check() {
    program=$1 names=
    shift
    for file in "$@"; do
        names="$names${names:+ + }$file"
        set -- "$@" --config "$file"
        shift
    done
    if ! said=$("$program" validate "$@" 2>&1); then
        failed=1
        echo "invalid: $names"
        echo "$said"
    elif echo "$said" | grep -qiE 'warn|deprecat'; then
        failed=1
        echo "warns:   $names"
        echo "$said"
    else
        echo "valid:   $names"
    fi
}

for base in agent gateway jaeger; do
    case $base in
        jaeger) program=${JAEGER:-../bin/jaeger} ;;
        *) program=${OTELCOL:-../bin/otelcol} ;;
    esac
    for layer in "$base"-*.yaml; do
        [ "$layer" != "$base-insecure.yaml" ] || continue
        export SIGHTLINE_TLS_DIR=/tls
        check "$program" "$base.yaml" "$layer"
        # Without TLS nothing may ask where certificates are.
        unset SIGHTLINE_TLS_DIR
        check "$program" "$base.yaml" "$layer" "$base-insecure.yaml"
    done
done
exit $failed
