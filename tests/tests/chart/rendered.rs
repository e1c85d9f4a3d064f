//! What each set of values renders to is committed, so that a review sees what a change to the chart changes.
//!
//! Comments and spacing of templates are no part of it, nor what differs at each rendering or stands elsewhere in this
//! repository: certificates, checksums, and the files of `collector-config/`, of which the name stands in their place.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;
use similar::TextDiff;

use crate::case::{self, Case, Rendering, typed};
use crate::helm::{self, Manifest};

/// The set of values that sets nothing.
const PLAIN_NAME: &str = "default";

/// Annotations that differ at each rendering, or with each file of the pipeline.
const PASSING: [&str; 3] = ["checksum/", "sightline/issued", "sightline/authority"];

/// Set to 1, it makes the committed renderings what the chart renders to.
pub(crate) const UPDATE: &str = "UPDATE_RENDERED";

pub(crate) fn committed(case: &Case) -> Result<()> {
    let path = path(&case.name);
    let rendered = text(&*case.rendering()?)?;
    if env::var_os(UPDATE).is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        return fs::write(&path, rendered).with_context(|| format!("{} cannot be written", path.display()));
    }
    let hint = format!("`make chart {UPDATE}=1` writes it; read the difference before you commit it");
    let committed =
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read: {hint}", path.display()))?;
    if committed == rendered {
        return Ok(());
    }
    bail!("not as committed; {hint}\n{}", difference(&path.display().to_string(), &committed, &rendered))
}

/// A rendering that no set of values makes is of one that is gone.
pub(crate) fn no_leftovers(cases: &[String]) -> Result<()> {
    let directory = case::directory().join("rendered");
    for entry in
        fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))?
    {
        let path = entry?.path();
        let known = cases.iter().any(|name| path == self::path(name));
        ensure!(known, "{} is of no set of values: delete it", path.display());
    }
    Ok(())
}

/// The same chart packed into an archive renders to the same: the links in it are followed.
pub(crate) fn packaged(case: &Case) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let chart = case.chart();
    let into = directory.path().as_os_str();
    helm::run(["package".as_ref(), chart.as_os_str(), "--destination".as_ref(), into])?;
    let archive = fs::read_dir(directory.path())?.next().context("helm package made nothing")??.path();
    let (unpacked, packed) = (text(&*case.rendering()?)?, text(&case.render(&archive)?)?);
    ensure!(unpacked == packed, "the archive differs\n{}", difference(&case.name, &unpacked, &packed));
    Ok(())
}

fn path(name: &str) -> PathBuf {
    case::directory().join("rendered").join(format!("{name}.yaml"))
}

fn difference(name: &str, old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(3).header(name, "rendered now").to_string()
}

/// What the plain installation renders to, each manifest as text.
static PLAIN: OnceLock<BTreeSet<String>> = OnceLock::new();

/// The whole, in which manifests that the plain installation has too are only named.
fn text(rendering: &Rendering) -> Result<String> {
    let own = texts(rendering)?;
    let plain = if let Some(plain) = PLAIN.get() {
        plain
    } else {
        let made = texts(&*case::named(PLAIN_NAME)?)?.into_iter().map(|(_, text)| text).collect();
        PLAIN.get_or_init(|| made)
    };
    let mut whole =
        format!("# What {}-values.yaml renders to. Written by `make chart {UPDATE}=1`.\n", rendering.name);
    for (manifest, text) in own {
        if rendering.name != PLAIN_NAME && plain.contains(&text) {
            let _ =
                writeln!(whole, "---\n# {} {}: as in {PLAIN_NAME}.yaml", manifest.kind(), manifest.name());
        } else {
            whole.push_str(&text);
        }
    }
    Ok(whole)
}

fn texts(rendering: &Rendering) -> Result<Vec<(&Manifest, String)>> {
    let files = PipelineFiles::read()?;
    let mut texts = Vec::new();
    for manifest in &rendering.manifests {
        let mut value = manifest.value.clone();
        if manifest.kind() == "Secret" {
            let secret: Secret = typed(manifest)?;
            for (key, data) in secret.data.iter().flatten() {
                if data.0.starts_with(b"-----BEGIN") {
                    value["data"][key] = Value::from(format!("<{key}>"));
                }
            }
        }
        settle(&mut value, &files);
        let yaml = serde_yaml::to_string(&value)?;
        texts.push((manifest, format!("---\n# Source: {}\n{yaml}", manifest.source)));
    }
    Ok(texts)
}

/// Puts a word where a rendering is different each time, or repeats a file.
fn settle(value: &mut Value, files: &PipelineFiles) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if PASSING.iter().any(|passing| key.starts_with(passing)) {
                    *value = Value::from(format!("<{key}>"));
                } else {
                    settle(value, files);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| settle(value, files)),
        Value::String(text) => {
            if let Some(name) = files.name_of(text) {
                *text = format!("<collector-config/{name}>");
            }
        }
        _ => {}
    }
}

/// The pipeline's files, to know them again.
pub(crate) struct PipelineFiles(Vec<(String, String)>);

impl PipelineFiles {
    pub(crate) fn read() -> Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(helm::repository().join("collector-config"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(&path)?));
        }
        Ok(Self(files))
    }

    /// The file of this text. Whether it ends with a newline is a template's business.
    pub(crate) fn name_of(&self, text: &str) -> Option<&str> {
        let same = |(_, content): &&(String, String)| content.trim_end() == text.trim_end();
        self.0.iter().find(same).map(|(name, _)| name.as_str())
    }
}
