#!/bin/sh
# Builds the images, creates the kind cluster if it does not exist, and loads the images into its nodes. A second run
# keeps the existing cluster.
#
# Environment, set by the Makefile: MAKE, KIND, KUBECTL (programs), KIND_CLUSTER, KIND_IMAGE, KIND_NODES.
set -eu
cd "$(dirname "$0")/../.."
context=kind-$KIND_CLUSTER

stop() {
    echo "$*" >&2
    exit 1
}

case $KIND_NODES in
    '' | *[!0-9]* | 0*) stop "KIND_NODES is '$KIND_NODES': it must be the number of nodes, 1 or more" ;;
esac

config() {
    grep -v 'role: worker' deploy/kind/cluster.yaml
    workers=$((KIND_NODES - 1))
    while [ "$workers" -gt 0 ]; do
        echo "  - role: worker"
        workers=$((workers - 1))
    done
}

create() {
    if "$KIND" get clusters 2>/dev/null | grep -qxF "$KIND_CLUSTER"; then
        nodes=$("$KIND" get nodes --name "$KIND_CLUSTER")
        # Nodes do not start by themselves after a restart of the Docker daemon.
        for node in $nodes; do docker start "$node" >/dev/null; done
        "$KIND" export kubeconfig --name "$KIND_CLUSTER" --quiet
        echo "cluster $KIND_CLUSTER: exists, with $(echo "$nodes" | wc -l | tr -d ' ') nodes"
    else
        config | "$KIND" create cluster --name "$KIND_CLUSTER" --image "$KIND_IMAGE" --config - ||
            stop "kind could not create the cluster $KIND_CLUSTER: its output is above (make kind-down removes what is left)"
    fi
    "$KUBECTL" --context "$context" wait --for=condition=Ready nodes --all --timeout=180s >/dev/null ||
        stop "the nodes of $KIND_CLUSTER are not ready after 180 s: $KUBECTL --context $context describe nodes"
}

# The cluster mostly waits while it starts, so the images are built at the same time. The output of kind is printed
# after the output of the images, so that the lines do not mix. After Ctrl-C, kind still finishes the cluster, because a
# shell starts background processes with SIGINT ignored: make kind-down removes the cluster.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
create >"$log" 2>&1 &
creation=$!
images=0
"${MAKE:-make}" --no-print-directory images || images=$?
cluster=0
wait "$creation" || cluster=$?
cat "$log"
[ "$cluster" = 0 ] || exit "$cluster"
[ "$images" = 0 ] || stop "the images were not built: the output is above"

# kind skips images that a node already has. The list of images is split into words on purpose.
# shellcheck disable=SC2046
"$KIND" load docker-image --name "$KIND_CLUSTER" $(deploy/images/build.sh list)
echo "images: loaded on every node"

workloads=deployments,statefulsets,daemonsets
if [ -n "$("$KUBECTL" --context "$context" get "$workloads" -A -l app.kubernetes.io/part-of=sightline -o name)" ]; then
    echo "running pods keep their images; to use the new ones: $KUBECTL --context $context rollout restart" \
        "$workloads -l app.kubernetes.io/part-of=sightline"
fi
if command -v helm >/dev/null; then
    echo "next: helm install sightline helm/sightline    (the current context of kubectl and helm is now $context)"
else
    echo "next: make helm-install    (the current context of kubectl is now $context)"
fi
