//! The rendered manifests of a value set, and the workloads among these manifests.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::helm::Manifest;

/// The rendering of a value set.
#[derive(Debug)]
pub(crate) struct Rendering {
    /// The name of the value set.
    pub(crate) name: String,
    pub(crate) release: String,
    pub(crate) namespace: String,
    pub(crate) manifests: Vec<Manifest>,
    /// The objects that exist before the installation, each as `KIND/NAME`.
    pub(crate) existing: Vec<String>,
}

/// A manifest that runs pods, with the metadata and the specification of these pods.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// The metadata of the pods.
    pub(crate) metadata: ObjectMeta,
    /// The specification of the pods.
    pub(crate) spec: PodSpec,
    /// The selector of the pods. Jobs, `CronJob`s and pods that the manifest creates directly have no selector here.
    pub(crate) selector: Option<LabelSelector>,
    pub(crate) replicas: Option<i32>,
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.name)
    }
}

impl Workload {
    /// All containers, init containers first.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Container> {
        self.spec.init_containers.iter().flatten().chain(&self.spec.containers)
    }

    /// The labels of the pods.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        self.metadata.labels.clone().unwrap_or_default()
    }
}

impl Rendering {
    /// The manifests of this kind.
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Manifest> {
        self.manifests.iter().filter(move |manifest| manifest.kind() == kind)
    }

    /// The manifest with this kind and name.
    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<&Manifest> {
        self.of_kind(kind).find(|manifest| manifest.name() == name)
    }

    /// The manifests of the Kubernetes type `T`, decoded.
    pub(crate) fn all<T: k8s_openapi::Resource + DeserializeOwned>(&self) -> Result<Vec<T>> {
        let same_type = |manifest: &&Manifest| {
            manifest.kind() == T::KIND && manifest.text("/apiVersion") == T::API_VERSION
        };
        self.manifests.iter().filter(same_type).map(decode).collect()
    }

    /// The manifests that run pods.
    pub(crate) fn workloads(&self) -> Result<Vec<Workload>> {
        self.manifests.iter().map(workload).filter_map(Result::transpose).collect()
    }
}

/// Decodes a manifest as `T`.
pub(crate) fn decode<T: DeserializeOwned>(manifest: &Manifest) -> Result<T> {
    serde_json::from_value(manifest.value.clone()).with_context(|| manifest.to_string())
}

fn workload(manifest: &Manifest) -> Result<Option<Workload>> {
    let (template, selector, replicas) = match manifest.kind() {
        "Deployment" => {
            let spec = decode::<Deployment>(manifest)?.spec.unwrap_or_default();
            (spec.template, Some(spec.selector), spec.replicas)
        }
        "StatefulSet" => {
            let spec = decode::<StatefulSet>(manifest)?.spec.unwrap_or_default();
            (spec.template, Some(spec.selector), spec.replicas)
        }
        "DaemonSet" => {
            let spec = decode::<DaemonSet>(manifest)?.spec.unwrap_or_default();
            (spec.template, Some(spec.selector), None)
        }
        "Job" => (decode::<Job>(manifest)?.spec.unwrap_or_default().template, None, None),
        "CronJob" => {
            let job = decode::<CronJob>(manifest)?.spec.unwrap_or_default().job_template;
            (job.spec.unwrap_or_default().template, None, None)
        }
        "Pod" => {
            let pod = decode::<Pod>(manifest)?;
            (PodTemplateSpec { metadata: Some(pod.metadata), spec: pod.spec }, None, None)
        }
        _ => return Ok(None),
    };
    let no_spec = || format!("{} {} has no pod specification", manifest.kind(), manifest.name());
    Ok(Some(Workload {
        kind: manifest.kind().to_owned(),
        name: manifest.name().to_owned(),
        metadata: template.metadata.unwrap_or_default(),
        spec: template.spec.with_context(no_spec)?,
        selector,
        replicas,
    }))
}

/// Whether a selector matches these labels. An empty selector matches all labels.
pub(crate) fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let pairs = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    pairs
        && selector.match_expressions.iter().flatten().all(|expression| {
            let value = labels.get(&expression.key);
            let listed =
                || value.is_some_and(|value| expression.values.iter().flatten().any(|one| one == value));
            match expression.operator.as_str() {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

/// Formats a value for a message: its JSON, or `nothing`.
pub(crate) fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}
