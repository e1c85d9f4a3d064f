#!/bin/sh
# Validates each combination of base file and overlays in collector-config/ with the program that runs it, the routes of
# vmauth, and the scrape configuration of VictoriaMetrics. A warning counts as a failure: the Collector warns about a
# deprecated component name, and removes the name two versions later.
#
# Environment: OTELCOL, JAEGER, VMAUTH, VICTORIA_METRICS (the programs).
set -eu
cd "$(dirname "$0")/../collector-config"

# Set the environment variables that the configuration files read. Validation does not open the paths in them, and does
# not connect to the addresses.
export SIGHTLINE_QUEUE_DIR=/queue SIGHTLINE_BADGER_DIR=/badger
export SIGHTLINE_TRACES_ENDPOINT=jaeger:4317
export SIGHTLINE_GATEWAY_SERVICE=gateway-headless.sightline SIGHTLINE_GATEWAY_ENDPOINT=gateway:4317
export SIGHTLINE_GATEWAY_NAME=gateway-0 SIGHTLINE_AGENT_NAME=agent-0 KUBE_NODE_NAME=node
export SIGHTLINE_METRICS_STORE=http://127.0.0.1:8428 SIGHTLINE_LOGS_STORE=http://127.0.0.1:9428
export SIGHTLINE_METRICS_QUERIES=http://127.0.0.1:8428/prometheus
export SIGHTLINE_METRICS_STORE_AUTHORIZATION="" SIGHTLINE_LOGS_STORE_AUTHORIZATION=""
export SIGHTLINE_JAEGER_UI=http://127.0.0.1:16686 SIGHTLINE_PAGES_HOSTS=localhost SIGHTLINE_VMALERT=http://127.0.0.1:8880
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
        # These overlays are loaded after another overlay.
        case $overlay in *-insecure.yaml | *-backend.yaml | *-stores.yaml) continue ;; esac
        for stores in "" "$base-stores.yaml"; do
            [ -z "$stores" ] || [ -e "$stores" ] || continue
            # $stores is empty or one file name.
            # shellcheck disable=SC2086
            set -- "$base.yaml" "$overlay" $stores
            export SIGHTLINE_TLS_DIR=/tls
            check "$program" "$@"
            [ ! -e "$base-backend.yaml" ] || check "$program" "$@" "$base-backend.yaml"
            # Without TLS, the files must not use the certificate directory.
            unset SIGHTLINE_TLS_DIR
            check "$program" "$@" "$base-insecure.yaml"
            [ ! -e "$base-backend.yaml" ] || check "$program" "$@" "$base-insecure.yaml" "$base-backend.yaml"
        done
    done
done

if output=$("${VMAUTH:-../bin/vmauth}" -auth.config=vmauth.yaml -dryRun 2>&1); then
    echo "valid:   vmauth.yaml"
else
    failed=1
    echo "invalid: vmauth.yaml"
    echo "$output"
fi

export SIGHTLINE_SCRAPE_INTERVAL=15s SIGHTLINE_METRICS_STORE_ADDRESS=127.0.0.1:8428
export SIGHTLINE_LOGS_STORE_ADDRESS=127.0.0.1:9428 SIGHTLINE_JAEGER_METRICS_ADDRESS=127.0.0.1:8888
export SIGHTLINE_PAGES_HEALTH_ADDRESS=127.0.0.1:13133 SIGHTLINE_VMALERT_ADDRESS=127.0.0.1:8880
if output=$("${VICTORIA_METRICS:-../bin/victoria-metrics}" -promscrape.config=victoria-metrics-scrape.yaml -dryRun 2>&1); then
    echo "valid:   victoria-metrics-scrape.yaml"
else
    failed=1
    echo "invalid: victoria-metrics-scrape.yaml"
    echo "$output"
fi
exit $failed
