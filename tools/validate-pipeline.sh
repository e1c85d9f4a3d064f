#!/bin/sh
# Checks each combination of base and layer in collector-config/ with the program that runs it. An old name of a
# component only warns, and is gone two versions later: a warning fails here.
#
# OTELCOL and JAEGER name the programs.
set -eu
cd "$(dirname "$0")/../collector-config"

# What the files ask for. Validation opens none of these.
export SIGHTLINE_TLS_DIR=/tls SIGHTLINE_QUEUE_DIR=/queue SIGHTLINE_BADGER_DIR=/badger SIGHTLINE_LOGS_FILE=/logs.json
export SIGHTLINE_JAEGER_ENDPOINT=jaeger:4317

failed=0
for base in agent gateway jaeger; do
    case $base in
        jaeger) program=${JAEGER:-../bin/jaeger} ;;
        *) program=${OTELCOL:-../bin/otelcol} ;;
    esac
    for layer in "$base"-*.yaml; do
        if ! said=$("$program" validate --config "$base.yaml" --config "$layer" 2>&1); then
            failed=1
            echo "invalid: $base.yaml + $layer"
            echo "$said"
        elif echo "$said" | grep -qiE 'warn|deprecat'; then
            failed=1
            echo "warns:   $base.yaml + $layer"
            echo "$said"
        else
            echo "valid:   $base.yaml + $layer"
        fi
    done
done
exit $failed
