//! The rendering of each value set is committed, so a reviewer sees every effect of a change to the chart.
//!
//! A committed rendering is generated from the parsed manifests, without the comments and the spacing of the templates.
//! Placeholders replace the certificates, the keys and some annotations, which differ in each rendering. Placeholders
//! also replace the text of the files in `collector-config/`, of the dashboards and of the alerts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;
use similar::TextDiff;

use crate::helm::{self, Manifest};
use crate::rendering::{Rendering, decode};
use crate::value_set::{self, ValueSet};

/// The name of the value set that contains no values.
const DEFAULT: &str = "default";

/// Prefixes of the annotations that differ in each rendering, or that change with each change to a pipeline file.
const CHANGING_ANNOTATIONS: [&str; 3] = ["checksum/", "sightline/issued", "sightline/authority"];

/// If this environment variable is 1, the tests update the committed renderings, READMEs and copies.
pub(crate) const UPDATE: &str = "UPDATE_RENDERED";

/// Whether the tests update the committed files.
pub(crate) fn updates() -> bool {
    env::var_os(UPDATE).is_some_and(|value| value == "1")
}

pub(crate) fn rendering_is_as_committed(set: &ValueSet) -> Result<()> {
    let path = path(&set.name);
    let rendered = snapshot(&*set.rendering()?)?;
    if updates() {
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        return fs::write(&path, rendered).with_context(|| format!("{} cannot be written", path.display()));
    }
    let hint = format!(
        "run `make chart {UPDATE}=1` to update the rendering, and review the difference before you commit it"
    );
    let committed =
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read: {hint}", path.display()))?;
    if committed == rendered {
        return Ok(());
    }
    bail!(
        "the rendering differs from the committed one: {hint}\n{}",
        difference(&path.display().to_string(), &committed, &rendered)
    )
}

/// Each committed rendering belongs to a value set. This check finds a rendering that remains after its value set was
/// deleted.
pub(crate) fn each_has_a_value_set(names: &[String]) -> Result<()> {
    let directory = value_set::directory().join("rendered");
    for entry in
        fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))?
    {
        let path = entry?.path();
        let known = names.iter().any(|name| path == self::path(name));
        ensure!(known, "{} belongs to no value set: delete this file", path.display());
    }
    Ok(())
}

/// Helm renders the same manifests from the archive of `helm package` as from the chart's directory. The archive does not
/// contain the files in `.helmignore`.
pub(crate) fn package_renders_the_same(set: &ValueSet) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let chart = set.chart();
    let destination = directory.path().as_os_str();
    helm::run(["package".as_ref(), chart.as_os_str(), "--destination".as_ref(), destination])?;
    let archive = fs::read_dir(directory.path())?.next().context("helm package wrote no archive")??.path();
    let (unpacked, packed) = (snapshot(&*set.rendering()?)?, snapshot(&set.render(&archive)?)?);
    ensure!(
        unpacked == packed,
        "the archive renders to different manifests\n{}",
        difference(&set.name, &unpacked, &packed)
    );
    Ok(())
}

fn path(name: &str) -> PathBuf {
    value_set::directory().join("rendered").join(format!("{name}.yaml"))
}

fn difference(name: &str, old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(3).header(name, "rendered now").to_string()
}

/// The manifests of the default value set, each as text.
static DEFAULT_MANIFESTS: OnceLock<BTreeSet<String>> = OnceLock::new();

/// Returns the text to commit. If a manifest is the same as in the rendering of the default value set, the text
/// contains only the manifest's kind and name. So a change to this manifest appears only once in a review, not once for
/// each value set.
fn snapshot(rendering: &Rendering) -> Result<String> {
    let manifests = manifest_texts(rendering)?;
    let defaults = if let Some(defaults) = DEFAULT_MANIFESTS.get() {
        defaults
    } else {
        let rendering = value_set::render_named(DEFAULT)?;
        let defaults = manifest_texts(&rendering)?.into_iter().map(|(_, text)| text).collect();
        DEFAULT_MANIFESTS.get_or_init(|| defaults)
    };
    let mut snapshot =
        format!("# The rendering of {}-values.yaml. Written by `make chart {UPDATE}=1`.\n", rendering.name);
    for (manifest, text) in manifests {
        if rendering.name != DEFAULT && defaults.contains(&text) {
            let _ =
                writeln!(snapshot, "---\n# {} {}: as in {DEFAULT}.yaml", manifest.kind(), manifest.name());
        } else {
            snapshot.push_str(&text);
        }
    }
    Ok(snapshot)
}

fn manifest_texts(rendering: &Rendering) -> Result<Vec<(&Manifest, String)>> {
    let files = CollectorConfig::read()?;
    let mut texts = Vec::new();
    for manifest in &rendering.manifests {
        let mut value = manifest.value.clone();
        if manifest.kind() == "Secret" {
            let secret: Secret = decode(manifest)?;
            for (key, data) in secret.data.iter().flatten() {
                if data.0.starts_with(b"-----BEGIN") {
                    value["data"][key] = Value::from(format!("<{key}>"));
                }
            }
        }
        insert_placeholders(&mut value, &files);
        let yaml = serde_yaml::to_string(&value)?;
        texts.push((manifest, format!("---\n# Source: {}\n{yaml}", manifest.source)));
    }
    Ok(texts)
}

/// Replaces [`CHANGING_ANNOTATIONS`], and the text of files in `collector-config/`, of dashboards and of alerts, with
/// placeholders.
fn insert_placeholders(value: &mut Value, files: &CollectorConfig) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if CHANGING_ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix)) {
                    *value = Value::from(format!("<{key}>"));
                } else {
                    insert_placeholders(value, files);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| insert_placeholders(value, files)),
        Value::String(text) => {
            if let Some(name) = files.name_of(text) {
                *text = format!("<collector-config/{name}>");
            } else if let Some(name) = files.dashboard_of(text) {
                *text = format!("<deploy/dashboards/vmui/{name}>");
            } else if let Some(name) = name_of(&files.alerts, text) {
                *text = format!("<deploy/alerts/{name}>");
            }
        }
        _ => {}
    }
}

/// The names and the texts of the files in `collector-config/`, of the generated dashboards, and of the alerts.
pub(crate) struct CollectorConfig {
    files: Vec<(String, String)>,
    dashboards: Vec<(String, String)>,
    alerts: Vec<(String, String)>,
}

impl CollectorConfig {
    pub(crate) fn read() -> Result<Self> {
        Ok(Self {
            files: read_directory("collector-config")?,
            dashboards: read_directory("deploy/dashboards/vmui")?,
            alerts: read_directory("deploy/alerts")?,
        })
    }

    /// Returns the name of the file in `collector-config/` with this text. Trailing white space is ignored, because
    /// templates change the white space at the end of a file.
    pub(crate) fn name_of(&self, text: &str) -> Option<&str> {
        name_of(&self.files, text)
    }

    fn dashboard_of(&self, text: &str) -> Option<&str> {
        name_of(&self.dashboards, text)
    }
}

fn name_of<'a>(files: &'a [(String, String)], text: &str) -> Option<&'a str> {
    let same = |(_, content): &&(String, String)| content.trim_end() == text.trim_end();
    files.iter().find(same).map(|(name, _)| name.as_str())
}

fn read_directory(path: &str) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(helm::repository().join(path))? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(&path)?));
        }
    }
    Ok(files)
}
