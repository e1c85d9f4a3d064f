//! Helm, and what it makes of the chart: by its own program, as an installation does.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Deserialize as _;
use serde_json::Value;

/// What the chart is rendered for. Helm's own default changes with Helm.
const KUBERNETES: &str = "1.34.0";

/// The directory of this repository.
pub(crate) fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root)
}

/// The chart under test: `CHART`, or the one of this repository.
pub(crate) fn chart() -> PathBuf {
    env::var_os("CHART").map_or_else(|| repository().join("helm/sightline"), PathBuf::from)
}

/// A program that `make tools` builds, or that `variable` names: a path from the repository's root, or a name on the PATH.
pub(crate) fn program(variable: &str, name: &str) -> Result<PathBuf> {
    let said = env::var_os(variable).filter(|value| !value.is_empty());
    let said = said.map_or_else(|| Path::new("bin").join(name), PathBuf::from);
    if said.components().count() == 1 {
        return Ok(said);
    }
    let path = repository().join(said);
    ensure!(
        path.is_file(),
        "{name} is missing at {}: `make tools` builds it, or {variable} names one you have",
        path.display()
    );
    Ok(path)
}

/// One manifest that Helm rendered.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// The template it came from: `sightline/charts/…/templates/….yaml`.
    pub(crate) source: String,
    pub(crate) value: Value,
}

impl Manifest {
    /// The text at a path such as `/metadata/name`, or nothing.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }
}

/// Who asks for a rendering.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Install<'a> {
    pub(crate) release: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) values: &'a Path,
    /// Kinds the cluster is said to have beside Kubernetes' own, as group/version/kind.
    pub(crate) apis: &'a [String],
}

/// Runs Helm, and gives what it printed; fails with Helm's own words.
pub(crate) fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
    let output = output(arguments)?;
    let said = String::from_utf8(output.stdout).context("Helm's output is not text")?;
    // It tells of each link it follows.
    let errors = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = errors.lines().filter(|line| !line.starts_with("level=INFO")).collect();
    ensure!(output.status.success(), "{}{said}", errors.join("\n"));
    Ok(said)
}

/// Runs Helm, whatever becomes of it. It reads no settings of the person who runs the tests, and no cluster's.
fn output(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Output> {
    let helm = program("HELM", "helm")?;
    let home = tempfile::tempdir()?;
    Command::new(&helm)
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env_remove("HELM_NAMESPACE")
        .env_remove("HELM_KUBECONTEXT")
        .env("HOME", home.path())
        .output()
        .with_context(|| format!("{} cannot be run", helm.display()))
}

fn arguments(command: &str, chart: &Path, install: Install<'_>) -> Vec<String> {
    let mut arguments: Vec<String> = [command, install.release]
        .map(str::to_owned)
        .into_iter()
        .chain([chart.display().to_string()])
        .collect();
    arguments.extend(["--namespace", install.namespace, "--values"].map(str::to_owned));
    arguments.push(install.values.display().to_string());
    arguments
}

/// What the chart renders to.
pub(crate) fn template(chart: &Path, install: Install<'_>) -> Result<Vec<Manifest>> {
    let mut arguments = arguments("template", chart, install);
    arguments.extend(["--kube-version", KUBERNETES].map(str::to_owned));
    for api in install.apis {
        arguments.extend(["--api-versions".to_owned(), api.clone()]);
    }
    parse(&run(arguments)?)
}

/// Where Helm cannot be told which kinds a cluster has, as `template` can.
const NO_MONITOR: &str = "--set=global.serviceMonitor.enabled=false";

/// What Helm says to a person after an installation.
pub(crate) fn notes(chart: &Path, install: Install<'_>) -> Result<String> {
    let mut arguments = arguments("install", chart, install);
    arguments.extend(["--dry-run=client", NO_MONITOR].map(str::to_owned));
    let said = run(arguments)?;
    let (_, notes) = said.split_once("\nNOTES:\n").ok_or_else(|| anyhow!("no notes in:\n{said}"))?;
    Ok(notes.to_owned())
}

/// Helm's own opinion of a chart with these values, of which a warning fails too.
pub(crate) fn lint(chart: &Path, install: Install<'_>) -> Result<()> {
    let values = install.values.display().to_string();
    let chart = chart.display().to_string();
    let arguments =
        ["lint", "--strict", &chart, "--namespace", install.namespace, "--values", &values, NO_MONITOR];
    run(arguments).map(drop)
}

/// The same of a part alone, with its own values: those of the whole it would not know.
pub(crate) fn lint_part(chart: &Path) -> Result<()> {
    run(["lint".as_ref(), "--strict".as_ref(), chart.as_os_str()]).map(drop)
}

/// What Helm says when it refuses these values; fails when it takes them.
pub(crate) fn refusal(values: &str) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("values.yaml");
    fs::write(&file, values)?;
    let install = Install { release: "sightline", namespace: "default", values: &file, apis: &[] };
    match template(&chart(), install) {
        Ok(_) => bail!("these values were taken:\n{values}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// Takes Helm's stream of documents apart. A text inside a document is indented, so no line of it is a bare `---`.
fn parse(stream: &str) -> Result<Vec<Manifest>> {
    let stream = format!("\n{stream}");
    let mut manifests = Vec::new();
    for document in stream.split("\n---\n").filter(|document| !document.trim().is_empty()) {
        let source = document.lines().find_map(|line| line.strip_prefix("# Source: ")).unwrap_or_default();
        let yaml = serde_yaml::Deserializer::from_str(document);
        let value =
            Value::deserialize(yaml).with_context(|| format!("not YAML, from {source}:\n{document}"))?;
        if !value.is_null() {
            manifests.push(Manifest { source: source.to_owned(), value });
        }
    }
    ensure!(!manifests.is_empty(), "nothing was rendered");
    Ok(manifests)
}
