#!/bin/sh
# Forwards two loopback ports of this machine to order-service and the pages for traces, metrics and logs in the cluster,
# until Ctrl-C. When a pod is deleted, the script connects to another ready pod.
#
# Environment, set by the Makefile: KUBECTL (the program), KUBE_CONTEXT, NAMESPACE (empty: the namespace of the
# context), RELEASE, and the ports on this machine: ORDER_PORT and JAEGER_PORT.
set -eu

# Neither the context nor the namespace contains a space, so the shell can split $flags into words.
flags="--context=$KUBE_CONTEXT${NAMESPACE:+ --namespace=$NAMESPACE}"
work=$(mktemp -d)
# shellcheck disable=SC2046
trap 'kill $(cat "$work"/*.pid 2>/dev/null) 2>/dev/null || :; rm -rf "$work"' EXIT
trap 'exit 0' INT TERM

stop() {
    echo "$*" >&2
    exit 1
}

# start SERVICE LOCAL-PORT PORT VARIABLE: forwards one port, or stops with the reason. VARIABLE is
# the name of the variable that sets the local port.
start() {
    log=$work/$1.log
    # shellcheck disable=SC2086
    "$KUBECTL" $flags wait endpointslices --selector "kubernetes.io/service-name=$1" --timeout=60s \
        --for=jsonpath='{.endpoints[0].conditions.ready}'=true >"$log" 2>&1 ||
        stop "service $1 has no ready pod (kubectl: $(tail -n 1 "$log"))
install it with make helm-install, or look at its pods: $KUBECTL $flags get pods"

    # shellcheck disable=SC2086
    "$KUBECTL" $flags port-forward --address 127.0.0.1 "service/$1" "$2:$3" >"$log" 2>&1 &
    echo $! >"$work/$1.pid"
    until grep -q '^Forwarding from' "$log"; do
        if grep -q 'address already in use' "$log"; then
            stop "port $2 is in use on this machine: stop the program that uses it, or choose another port: make port-forward $4=$(($2 % 50000 + 10000))"
        fi
        kill -0 $! 2>/dev/null || stop "port $2 could not be forwarded to $1 (kubectl: $(tail -n 1 "$log"))"
        sleep 0.1
    done
    printf '%-28s http://127.0.0.1:%s\n' "$1" "$2"
}

# keep SERVICE LOCAL-PORT PORT VARIABLE: forwards the port again if the forwarding has stopped.
keep() {
    kill -0 "$(cat "$work/$1.pid")" 2>/dev/null && return
    echo "$1: the connection was lost (kubectl: $(tail -n 1 "$work/$1.log")); connecting again"
    start "$@"
}

start "$RELEASE-order-service" "$ORDER_PORT" 8081 ORDER_PORT
start "$RELEASE-jaeger" "$JAEGER_PORT" 16686 JAEGER_PORT
# Without the stores, Jaeger itself serves its UI at this port.
# shellcheck disable=SC2086
containers=$("$KUBECTL" $flags get deployment "$RELEASE-jaeger" --output 'jsonpath={.spec.template.spec.containers[*].name}')
case " $containers " in
    *' vmauth '*)
        printf '  %-26s http://127.0.0.1:%s\n' Traces "$JAEGER_PORT/" Metrics "$JAEGER_PORT/prometheus/vmui/" \
            Logs "$JAEGER_PORT/select/vmui/"
        ;;
esac
case " $containers " in
    *' vmalert '*) printf '  %-26s http://127.0.0.1:%s\n' Alerts "$JAEGER_PORT/prometheus/vmui/#/rules" ;;
esac
echo "Try: curl -i http://127.0.0.1:$ORDER_PORT/orders/1    Ctrl-C stops this"
while sleep 1; do
    keep "$RELEASE-order-service" "$ORDER_PORT" 8081 ORDER_PORT
    keep "$RELEASE-jaeger" "$JAEGER_PORT" 16686 JAEGER_PORT
done
