//! The value sets in `helm/sightline/ci/`, and the settings for installing each value set. They are installed with the
//! services in `ci/services.yaml`, not with those of the chart.
//!
//! Some settings are not values of the chart. They are comments at the top of a value set, each on its own line:
//!
//! ```yaml
//! # release: shop                      the name of the release; default: `sightline`
//! # namespace: observability           the namespace of the release; default: `default`
//! # objects: store                   the namespace of the objects, if it differs from the release's
//! # api: monitoring.coreos.com/v1/ServiceMonitor    an API that the cluster has in addition to the Kubernetes APIs
//! # existing: Secret/user-service-tls  an object that exists before the installation
//! # chart: charts/service              the subchart to install; default: the whole chart
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::helm::{self, Install};
use crate::rendering::Rendering;

/// A value set that the chart must accept.
#[derive(Debug)]
pub(crate) struct ValueSet {
    /// The file name without `-values.yaml`.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// Whether the chart is installed with the services of `values.yaml`, not with those of the tests.
    delivered: bool,
    /// The path of the subchart relative to the chart's directory. It is empty for the whole chart.
    subchart: String,
    release: String,
    namespace: String,
    /// The namespace that `global.namespaceOverride` sets.
    objects: Option<String>,
    apis: Vec<String>,
    existing: Vec<String>,
    rendering: OnceLock<Result<Arc<Rendering>, String>>,
}

/// Returns all value sets, sorted by name.
pub(crate) fn all() -> Result<Vec<Arc<ValueSet>>> {
    let directory = directory();
    let entries =
        fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    let mut sets = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix("-values.yaml"));
        if let Some(name) = name {
            sets.push(Arc::new(ValueSet::read(name.to_owned(), file.clone())?));
        }
    }
    ensure!(!sets.is_empty(), "there is no *-values.yaml in {}", directory.display());
    sets.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(sets)
}

/// Returns the chart as it is delivered: with its own services, and without other values.
pub(crate) fn as_delivered() -> Result<Arc<ValueSet>> {
    let set = ValueSet::read("as-delivered".to_owned(), directory().join("default-values.yaml"))?;
    Ok(Arc::new(ValueSet { delivered: true, ..set }))
}

/// Renders the value set with this name.
pub(crate) fn render_named(name: &str) -> Result<Arc<Rendering>> {
    ValueSet::read(name.to_owned(), directory().join(format!("{name}-values.yaml")))?.rendering()
}

/// The directory that contains the value sets and their committed renderings.
pub(crate) fn directory() -> PathBuf {
    helm::repository().join("helm/sightline/ci")
}

impl ValueSet {
    fn read(name: String, file: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let mut set = Self {
            name,
            file,
            delivered: false,
            subchart: String::new(),
            release: "sightline".to_owned(),
            namespace: "default".to_owned(),
            objects: None,
            apis: Vec::new(),
            existing: Vec::new(),
            rendering: OnceLock::new(),
        };
        for line in text.lines().map_while(|line| line.strip_prefix('#')) {
            let Some((key, value)) = line.trim().split_once(": ") else { continue };
            let value = value.trim().to_owned();
            match key {
                "release" => set.release = value,
                "namespace" => set.namespace = value,
                "objects" => set.objects = Some(value),
                "api" => set.apis.push(value),
                "existing" => set.existing.push(value),
                "chart" => set.subchart = value,
                _ => {}
            }
        }
        Ok(set)
    }

    /// The directory of the chart or subchart to install.
    pub(crate) fn chart(&self) -> PathBuf {
        if self.delivered { helm::chart() } else { helm::test_chart().join(&self.subchart) }
    }

    /// Whether the chart is installed with the services of `values.yaml`. There is no committed rendering of it, because
    /// it changes with the services.
    pub(crate) fn is_delivered(&self) -> bool {
        self.delivered
    }

    /// Whether the whole chart is installed, not a subchart.
    pub(crate) fn is_whole_chart(&self) -> bool {
        self.subchart.is_empty()
    }

    /// The namespace of the objects if it differs from the release's namespace.
    pub(crate) fn namespace_override(&self) -> Option<&str> {
        self.objects.as_deref()
    }

    /// The installation to render.
    pub(crate) fn install(&self) -> Install<'_> {
        Install { release: &self.release, namespace: &self.namespace, values: &self.file, apis: &self.apis }
    }

    /// Returns the rendering. Only the first call renders the value set. Later calls return the rendering or the error
    /// of the first call.
    pub(crate) fn rendering(&self) -> Result<Arc<Rendering>> {
        let rendered = self
            .rendering
            .get_or_init(|| self.render(&self.chart()).map(Arc::new).map_err(|error| format!("{error:#}")));
        rendered.clone().map_err(|error| anyhow!(error))
    }

    /// Renders `chart`, a directory or an archive, with these values.
    pub(crate) fn render(&self, chart: &Path) -> Result<Rendering> {
        Ok(Rendering {
            name: self.name.clone(),
            release: self.release.clone(),
            namespace: self.objects.as_ref().unwrap_or(&self.namespace).clone(),
            manifests: helm::template(chart, self.install())?,
            existing: self.existing.clone(),
        })
    }
}
