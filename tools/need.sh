#!/bin/sh
# Checks the given requirements: docker, kubectl, kind, helm or cluster. Stops at the first requirement that is missing
# and says how to provide it.
#
# Environment: KUBECTL, KIND, HELM (the programs to use), KUBE_CONTEXT (the cluster).
set -eu

stop() {
    echo "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null; }

for program in "$@"; do
    case $program in
        docker)
            have docker || stop "docker is missing: install it from https://docs.docker.com/engine/install"
            output=$(docker version --format '{{.Server.Version}}' 2>&1) ||
                stop "the Docker daemon does not respond ($(echo "$output" | tail -n 1)): start it, and check that your user has access to it"
            ;;
        kubectl)
            have "${KUBECTL:-kubectl}" ||
                stop "${KUBECTL:-kubectl} is missing: install kubectl from https://kubernetes.io/docs/tasks/tools," \
                    "or use an existing program: make KUBECTL=/path/to/kubectl"
            ;;
        kind) have "$KIND" || stop "$KIND is missing: unset KIND to let make build bin/kind" ;;
        helm) have "$HELM" || stop "$HELM is missing: unset HELM to let make build bin/helm" ;;
        cluster)
            output=$("${KUBECTL:-kubectl}" --context "$KUBE_CONTEXT" --request-timeout 10s get --raw /readyz 2>&1) ||
                stop "the cluster of the context $KUBE_CONTEXT does not respond ($(echo "$output" | tail -n 1)):" \
                    "create one with make kind-up, or set KUBE_CONTEXT to another context"
            ;;
        *) stop "tools/need.sh: unknown requirement $program" ;;
    esac
done
