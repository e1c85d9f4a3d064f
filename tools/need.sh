#!/bin/sh
# Stops at the first of these that is missing, and says what would do: docker kubectl kind helm cluster.
#
# KUBECTL, KIND and HELM name the programs to use, KUBE_CONTEXT the cluster.
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
            said=$(docker version --format '{{.Server.Version}}' 2>&1) ||
                stop "Docker's daemon does not answer ($(echo "$said" | tail -n 1)): start it, and see that you may use it"
            ;;
        kubectl)
            have "${KUBECTL:-kubectl}" ||
                stop "${KUBECTL:-kubectl} is missing: install kubectl from https://kubernetes.io/docs/tasks/tools," \
                    "or name the one you have: make KUBECTL=/path/to/kubectl"
            ;;
        kind) have "$KIND" || stop "$KIND is missing: make builds a kind into bin/ when KIND is not set" ;;
        helm) have "$HELM" || stop "$HELM is missing: make builds a helm into bin/ when HELM is not set" ;;
        cluster)
            said=$("${KUBECTL:-kubectl}" --context "$KUBE_CONTEXT" --request-timeout 10s get --raw /readyz 2>&1) ||
                stop "the cluster of context $KUBE_CONTEXT does not answer ($(echo "$said" | tail -n 1)):" \
                    "make kind-up makes one, and KUBE_CONTEXT names another"
            ;;
        *) stop "tools/need.sh: it does not know $program" ;;
    esac
done
