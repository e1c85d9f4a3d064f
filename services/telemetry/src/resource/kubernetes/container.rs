//! Finds the container of this process in a pod's object, and the status of that container's current run.
//!
//! A run of a container is the time between two restarts. After a restart, the API server can still report the status
//! of the previous run.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute;

use super::image;
use super::known::Known;

/// The status of this container in a pod's object.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// The status of the current run.
    ThisRun(&'a ContainerStatus),
    /// The status is missing or belongs to a previous run. The variant holds the container's name, if it is known.
    NotYet(Option<&'a str>),
    /// It is not known in which container of the pod this process runs.
    Unknown,
}

/// Finds this container by the ID or the name in `known`.
pub(super) fn find<'a>(pod: &'a Pod, known: &'a Known) -> Found<'a> {
    // An ID identifies both the container and its run, because every run has a new ID.
    let by_id =
        known.container_id.as_deref().and_then(|id| statuses(pod).find(|status| id_of(status) == Some(id)));
    if let Some(status) = by_id {
        return Found::ThisRun(status);
    }
    let names = names(pod);
    let name = match (known.container.as_deref(), &names[..]) {
        (Some(name), _) if names.contains(&name) => name,
        (None, [only]) => *only,
        (None, _) if known.container_id.is_some() => return Found::NotYet(None),
        _ => return Found::Unknown,
    };
    let status = statuses(pod).find(|status| status.name == name);
    match status.filter(|_| known.container_id.is_none()).filter(|status| is_of_this_run(status, pod, known))
    {
        Some(status) => Found::ThisRun(status),
        None => Found::NotYet(Some(name)),
    }
}

/// The names of all containers of the pod, including init and ephemeral containers.
fn names(pod: &Pod) -> Vec<&str> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    containers
        .map(|container| container.name.as_str())
        .chain(ephemeral.map(|container| container.name.as_str()))
        .collect()
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses]
            .into_iter()
            .flatten()
            .flatten()
    })
}

/// Returns the ID of a container without the prefix that names the runtime, such as `containerd://`.
fn id_of(status: &ContainerStatus) -> Option<&str> {
    status.container_id.as_deref()?.split_once("://").map(|(_, id)| id)
}

/// Compares start times to find whether `status` belongs to the current run. This function is used only if the
/// ID of the container is not known.
///
/// A previous run started before the first process of the current run. The start time in the status is in whole
/// seconds, rounded down, so the comparison adds a second to it.
fn is_of_this_run(status: &ContainerStatus, pod: &Pod, known: &Known) -> bool {
    let reported = || status.state.as_ref()?.running.as_ref()?.started_at.as_ref();
    let shares_processes = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.share_process_namespace == Some(true) || spec.host_pid == Some(true));
    // Process 1 is the container's first process, unless the container shares its PID namespace with other containers
    // or with the node. The current process may have started later than process 1.
    let first = if shares_processes { known.started } else { known.init_started.or(known.started) };
    match (reported(), first) {
        (Some(reported), Some(first)) => SystemTime::from(reported.0) + Duration::from_secs(1) > first,
        _ => false,
    }
}

/// The attributes of a container with this status.
pub(super) fn attributes(status: &ContainerStatus) -> Vec<KeyValue> {
    let mut attributes = image::attributes(&status.image, &status.image_id);
    attributes.push(KeyValue::new(attribute::K8S_CONTAINER_NAME, status.name.clone()));
    attributes.push(KeyValue::new(attribute::K8S_CONTAINER_RESTART_COUNT, i64::from(status.restart_count)));
    attributes.extend(id_of(status).map(|id| KeyValue::new(attribute::CONTAINER_ID, id.to_owned())));
    attributes
}
