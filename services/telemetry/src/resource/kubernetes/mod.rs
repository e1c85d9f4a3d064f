//! Which pod this is, of which workload, on which node, in which cluster.
//!
//! Three sources, each for what the one before does not tell:
//!
//! 1. `OTEL_RESOURCE_ATTRIBUTES`, which a pod fills from the downward API. It wins, as it does over everything.
//! 2. Files that the kubelet mounts: the service account's namespace, and the mounts themselves, whose places name the
//!    pod's uid and the container.
//! 3. The API server, asked once, within two seconds: the workload, the node's and the cluster's uid, the image, the
//!    restart count.
//!
//! Outside a cluster, where `KUBERNETES_SERVICE_HOST` is unset, nothing is read. What cannot be looked up is left out and
//! comes back as [`Missing`]; `SIGHTLINE_KUBERNETES_API=false` asks the API server nothing.
//!
//! The rights that the third source needs, each of which may be missing:
//!
//! | verb | resource | where | for |
//! | --- | --- | --- | --- |
//! | `get` | `pods` | the pod's namespace | `k8s.pod.*`, `k8s.node.name`, `k8s.container.*`, `container.*`, direct owners |
//! | `get` | `replicasets.apps` | the pod's namespace | `k8s.deployment.*` |
//! | `get` | `jobs.batch` | the pod's namespace | `k8s.cronjob.*` |
//! | `get` | `nodes` | the cluster | `k8s.node.uid` |
//! | `get` | `namespaces`, only `kube-system` | the cluster | `k8s.cluster.uid` |
//!
//! Of all but the pod only the metadata is asked for.
//!
//! <https://opentelemetry.io/docs/specs/semconv/resource/k8s/>

mod api;
mod container;
mod files;
mod image;
mod known;
mod missing;
mod owners;
mod pod;

use std::time::Duration;

use opentelemetry::KeyValue;

use crate::settings::{Kubernetes, ResourceSettings};
use files::Files;
use known::Known;
pub(crate) use missing::Missing;

/// The attributes of this pod, and what could not be looked up. `container_id` is what the kernel says.
pub(super) fn detect(settings: &ResourceSettings, container_id: Option<&str>) -> (Vec<KeyValue>, Missing) {
    let Some(kubernetes) = &settings.kubernetes else {
        return (Vec::new(), Missing::default());
    };
    let files = Files::default();
    let known = Known::collect(settings, files.read(), container_id);
    detect_in(kubernetes, &files, known, api::BUDGET)
}

fn detect_in(
    kubernetes: &Kubernetes,
    files: &Files,
    known: Known,
    budget: Duration,
) -> (Vec<KeyValue>, Missing) {
    let mut attributes = known.attributes();
    if !kubernetes.api {
        return (attributes, Missing::default());
    }
    let (told, gaps) = api::consult(kubernetes, files, budget, |api| pod::ask(api, known));
    attributes.extend(told);
    (attributes, Missing(gaps))
}

#[cfg(test)]
mod tests;
