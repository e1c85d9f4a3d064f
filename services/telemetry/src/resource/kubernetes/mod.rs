//! The detector of `k8s.*` attributes: pod, container, workload, node and cluster.
//!
//! It has three sources. Each source adds attributes that the previous sources do not have:
//!
//! 1. `OTEL_RESOURCE_ATTRIBUTES`, which a pod can set from the downward API. It overrides the other sources.
//! 2. Local files: the namespace of the service account, which [`super::contrib`] reads, and the list of mounts, whose
//!    paths contain the UID of the pod and the name of the container.
//! 3. The API server: the workload, the UIDs of the node and the cluster, the image and the restart count. The requests
//!    are sent when telemetry starts, with a timeout of two seconds for all of them together.
//!
//! Outside a cluster, `KUBERNETES_SERVICE_HOST` is unset and the detector does nothing. With
//! `SIGHTLINE_KUBERNETES_API=false`, the detector sends no requests to the API server. Attributes that cannot be looked
//! up are left out and returned as [`Missing`].
//!
//! The third source uses these permissions. Each of them is optional:
//!
//! | verb | resource | scope | attributes |
//! | --- | --- | --- | --- |
//! | `get` | `pods` | the pod's namespace | `k8s.pod.*`, `k8s.node.name`, `k8s.container.*`, `container.*`, direct owners |
//! | `get` | `replicasets.apps` | the pod's namespace | `k8s.deployment.*` |
//! | `get` | `jobs.batch` | the pod's namespace | `k8s.cronjob.*` |
//! | `get` | `nodes` | the cluster | `k8s.node.uid` |
//! | `get` | `namespaces`, only `kube-system` | the cluster | `k8s.cluster.uid` |
//!
//! The detector requests the pod's whole object, but only the metadata of other objects.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/resource/k8s/>.

mod api;
mod container;
mod files;
mod image;
mod known;
mod owners;
mod pod;

use std::time::Duration;

use opentelemetry::KeyValue;

use super::missing::{self, Missing};
use crate::settings::{Kubernetes, ResourceSettings};
use files::Files;
use known::Known;

/// Returns the attributes of this pod, and the attributes that could not be looked up. `container_id` is the container
/// ID that the kernel reports, if any. `namespace` is the namespace of the service account, if any.
pub(super) fn detect(
    settings: &ResourceSettings,
    container_id: Option<&str>,
    namespace: Option<&str>,
) -> (Vec<KeyValue>, Missing) {
    let Some(kubernetes) = &settings.kubernetes else {
        return (Vec::new(), Missing::default());
    };
    let files = Files::default();
    let known = Known::collect(settings, files.read(), container_id, namespace);
    detect_in(kubernetes, &files, known, api::TIMEOUT)
}

fn detect_in(
    kubernetes: &Kubernetes,
    files: &Files,
    known: Known,
    timeout: Duration,
) -> (Vec<KeyValue>, Missing) {
    let mut attributes = known.attributes();
    if !kubernetes.api {
        return (attributes, Missing::default());
    }
    let (found, gaps) = api::run(kubernetes, files, timeout, |api| pod::look_up(api, known));
    attributes.extend(found);
    (attributes, Missing(gaps))
}

#[cfg(test)]
mod tests;
