//! The sets of values under `helm/sightline/ci/`, and what each renders to.
//!
//! A set says in comments what a values file cannot, each in a line of its own at the top:
//!
//! ```yaml
//! # release: shop                      the name of the release, if not `sightline`
//! # namespace: observability           where it goes, if not `default`
//! # api: monitoring.coreos.com/v1/ServiceMonitor    what the cluster has beside Kubernetes itself
//! # given: Secret/user-service-tls     what a person has put there before
//! # chart: charts/service              which part is installed, if not the whole
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::{fmt, fs};

use anyhow::{Context as _, Result, anyhow, ensure};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::helm::{self, Install, Manifest};

/// A set of values that has to work.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// Below the chart's directory; empty for the chart itself.
    part: String,
    release: String,
    namespace: String,
    apis: Vec<String>,
    given: Vec<String>,
    rendering: OnceLock<Result<Arc<Rendering>, String>>,
}

/// What a set of values renders to.
#[derive(Debug)]
pub(crate) struct Rendering {
    pub(crate) name: String,
    pub(crate) release: String,
    pub(crate) namespace: String,
    pub(crate) manifests: Vec<Manifest>,
    /// What is there already, as `Secret/name`.
    pub(crate) given: Vec<String>,
}

/// What runs pods, with what it runs.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Of the pods.
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: PodSpec,
    /// How it finds its pods again; none for a Pod and a Job.
    pub(crate) selector: Option<LabelSelector>,
    pub(crate) replicas: Option<i32>,
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.name)
    }
}

impl Workload {
    /// Its containers, those that run first included.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Container> {
        self.spec.init_containers.iter().flatten().chain(&self.spec.containers)
    }
}

/// All sets of values, by name.
pub(crate) fn all() -> Result<Vec<Arc<Case>>> {
    let directory = directory();
    let entries =
        fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    let mut cases = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix("-values.yaml"));
        if let Some(name) = name {
            cases.push(Arc::new(Case::read(name.to_owned(), file.clone())?));
        }
    }
    ensure!(!cases.is_empty(), "there is no *-values.yaml in {}", directory.display());
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(cases)
}

/// The one of this name.
pub(crate) fn named(name: &str) -> Result<Arc<Rendering>> {
    Case::read(name.to_owned(), directory().join(format!("{name}-values.yaml")))?.rendering()
}

/// Where sets of values are, and their renderings.
pub(crate) fn directory() -> PathBuf {
    helm::repository().join("helm/sightline/ci")
}

impl Case {
    fn read(name: String, file: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let mut case = Self {
            name,
            file,
            part: String::new(),
            release: "sightline".to_owned(),
            namespace: "default".to_owned(),
            apis: Vec::new(),
            given: Vec::new(),
            rendering: OnceLock::new(),
        };
        for line in text.lines().map_while(|line| line.strip_prefix('#')) {
            let Some((key, value)) = line.trim().split_once(": ") else { continue };
            let value = value.trim().to_owned();
            match key {
                "release" => case.release = value,
                "namespace" => case.namespace = value,
                "api" => case.apis.push(value),
                "given" => case.given.push(value),
                "chart" => case.part = value,
                _ => {}
            }
        }
        Ok(case)
    }

    /// What is installed.
    pub(crate) fn chart(&self) -> PathBuf {
        helm::chart().join(&self.part)
    }

    /// Whether that is the chart itself, and no part of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.part.is_empty()
    }

    /// With which Helm is called.
    pub(crate) fn install(&self) -> Install<'_> {
        Install { release: &self.release, namespace: &self.namespace, values: &self.file, apis: &self.apis }
    }

    /// What it renders to, rendered once.
    pub(crate) fn rendering(&self) -> Result<Arc<Rendering>> {
        let rendered = self
            .rendering
            .get_or_init(|| self.render(&self.chart()).map(Arc::new).map_err(|error| format!("{error:#}")));
        rendered.clone().map_err(|error| anyhow!(error))
    }

    /// What it renders to from this chart.
    pub(crate) fn render(&self, chart: &Path) -> Result<Rendering> {
        Ok(Rendering {
            name: self.name.clone(),
            release: self.release.clone(),
            namespace: self.namespace.clone(),
            manifests: helm::template(chart, self.install())?,
            given: self.given.clone(),
        })
    }
}

impl Rendering {
    /// All manifests of a kind, as they are.
    pub(crate) fn raw(&self, kind: &str) -> impl Iterator<Item = &Manifest> {
        self.manifests.iter().filter(move |manifest| manifest.kind() == kind)
    }

    /// The manifest of this kind and name.
    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<&Manifest> {
        self.raw(kind).find(|manifest| manifest.name() == name)
    }

    /// All manifests of a kind of Kubernetes.
    pub(crate) fn all<T: k8s_openapi::Resource + DeserializeOwned>(&self) -> Result<Vec<T>> {
        let same = |manifest: &&Manifest| {
            manifest.kind() == T::KIND && manifest.text("/apiVersion") == T::API_VERSION
        };
        self.manifests.iter().filter(same).map(typed).collect()
    }

    /// Everything that runs pods.
    pub(crate) fn workloads(&self) -> Result<Vec<Workload>> {
        self.manifests.iter().map(workload).filter_map(Result::transpose).collect()
    }
}

/// A manifest in its type.
pub(crate) fn typed<T: DeserializeOwned>(manifest: &Manifest) -> Result<T> {
    let what = || format!("{} {} from {}", manifest.kind(), manifest.name(), manifest.source);
    serde_json::from_value(manifest.value.clone()).with_context(what)
}

fn workload(manifest: &Manifest) -> Result<Option<Workload>> {
    let (template, selector, replicas) = match manifest.kind() {
        "Deployment" => {
            let spec = typed::<Deployment>(manifest)?.spec.unwrap_or_default();
            (spec.template, Some(spec.selector), spec.replicas)
        }
        "StatefulSet" => {
            let spec = typed::<StatefulSet>(manifest)?.spec.unwrap_or_default();
            (spec.template, Some(spec.selector), spec.replicas)
        }
        "DaemonSet" => {
            let spec = typed::<DaemonSet>(manifest)?.spec.unwrap_or_default();
            (spec.template, Some(spec.selector), None)
        }
        "Job" => (typed::<Job>(manifest)?.spec.unwrap_or_default().template, None, None),
        "CronJob" => {
            let job = typed::<CronJob>(manifest)?.spec.unwrap_or_default().job_template;
            (job.spec.unwrap_or_default().template, None, None)
        }
        "Pod" => {
            let pod = typed::<Pod>(manifest)?;
            (PodTemplateSpec { metadata: Some(pod.metadata), spec: pod.spec }, None, None)
        }
        _ => return Ok(None),
    };
    let what = || format!("{} {} has no pod", manifest.kind(), manifest.name());
    Ok(Some(Workload {
        kind: manifest.kind().to_owned(),
        name: manifest.name().to_owned(),
        metadata: template.metadata.unwrap_or_default(),
        spec: template.spec.with_context(what)?,
        selector,
        replicas,
    }))
}

/// Whether a selector takes labels. An empty one takes all.
pub(crate) fn selects(selector: &LabelSelector, labels: &std::collections::BTreeMap<String, String>) -> bool {
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

/// The value of a field that may be missing on the way, for a message.
pub(crate) fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}
