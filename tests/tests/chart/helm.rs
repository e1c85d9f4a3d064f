//! Runs the `helm` program, as an operator does, and parses its output.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::{env, fmt, fs};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::Value;

/// The Kubernetes version that charts are rendered for. It is fixed because Helm's default differs between Helm
/// versions.
const KUBE_VERSION: &str = "1.34.0";

/// The root directory of this repository.
pub(crate) fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root)
}

/// The chart under test: the path in `CHART`, or the chart of this repository.
pub(crate) fn chart() -> PathBuf {
    env::var_os("CHART").map_or_else(|| repository().join("helm/sightline"), PathBuf::from)
}

/// The copy of the chart that [`write_test_chart`] wrote.
static TEST_CHART: OnceLock<PathBuf> = OnceLock::new();

/// The keys of `values.yaml` that the tests replace.
const REPLACED: [&str; 2] = ["examples:", "services:"];

/// The chart with the services of the tests: a copy of [`chart`] in which `ci/services.yaml` replaces the services of
/// `values.yaml`. So the value sets, their renderings and the rejections do not depend on the services of this checkout.
pub(crate) fn test_chart() -> PathBuf {
    TEST_CHART.get().cloned().unwrap_or_else(chart)
}

/// Writes the chart of [`test_chart`] to `directory`.
pub(crate) fn write_test_chart(directory: &Path) -> Result<()> {
    let copy = directory.join("sightline");
    copy_directory(&chart(), &copy)?;
    let file = copy.join("values.yaml");
    let mut values = without_keys(&fs::read_to_string(&file)?, &REPLACED);
    values.push_str(&fs::read_to_string(repository().join("helm/sightline/ci/services.yaml"))?);
    fs::write(&file, values)?;
    TEST_CHART.get_or_init(|| copy);
    Ok(())
}

/// Returns YAML text without the values of these keys at the top level.
fn without_keys(text: &str, keys: &[&str]) -> String {
    let mut removing = false;
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        if !line.starts_with([' ', '\n']) {
            removing = keys.iter().any(|key| line.starts_with(key));
        }
        if !removing {
            kept.push_str(line);
        }
    }
    kept
}

/// Copies a directory.
pub(crate) fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_directory(&path, &target)?;
        } else {
            fs::copy(&path, &target).with_context(|| format!("{} cannot be copied", path.display()))?;
        }
    }
    Ok(())
}

/// Returns the path of a program: the value of the environment variable `variable`, or by default the program that
/// `make tools` builds in `bin/`. The variable contains a path relative to the repository's root, or a name to look up
/// on the `PATH`. Fails if there is no file at the path. A name is not checked.
pub(crate) fn program(variable: &str, name: &str) -> Result<PathBuf> {
    let path = env::var_os(variable).filter(|value| !value.is_empty());
    let path = path.map_or_else(|| Path::new("bin").join(name), PathBuf::from);
    if path.components().count() == 1 {
        return Ok(path);
    }
    let path = repository().join(path);
    ensure!(
        path.is_file(),
        "there is no {name} at {}: run `make tools`, or set {variable} to the path of {name}",
        path.display()
    );
    Ok(path)
}

/// A manifest that Helm rendered.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// The path of the template: `sightline/charts/…/templates/….yaml`.
    pub(crate) source: String,
    pub(crate) value: Value,
}

impl Manifest {
    /// Returns the string at a JSON pointer such as `/metadata/name`, or an empty string if the manifest has no string
    /// there.
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

impl fmt::Display for Manifest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} from {}", self.kind(), self.name(), self.source)
    }
}

/// The installation to render.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Install<'a> {
    pub(crate) release: &'a str,
    pub(crate) namespace: &'a str,
    /// The path of the values file.
    pub(crate) values: &'a Path,
    /// The APIs that the cluster has in addition to the Kubernetes APIs, as `group/version` or `group/version/kind`.
    pub(crate) apis: &'a [String],
}

/// Runs Helm and returns its standard output. Fails with Helm's own error message.
pub(crate) fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
    let output = output(arguments)?;
    let stdout = String::from_utf8(output.stdout).context("Helm's output is not UTF-8")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{stderr}{stdout}");
    // `helm lint` continues after a call of `fail`, and logs the call.
    let warnings: Vec<&str> = stderr.lines().filter(|line| !line.contains("funcMap fail")).collect();
    ensure!(warnings.is_empty(), "Helm printed a warning: {}", warnings.join("\n"));
    Ok(stdout)
}

/// Runs Helm without the user's settings and without a cluster. Returns the output even if Helm fails.
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
    if is_whole(chart) {
        arguments.push(RENDER_ONLY.to_owned());
    }
    arguments
}

/// Accepts the mode `generated`, which the chart otherwise rejects without a cluster.
const RENDER_ONLY: &str = "--set=renderOnly=true";

/// Whether this directory or archive is the whole chart, not a subchart.
fn is_whole(chart: &Path) -> bool {
    chart.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sightline"))
}

/// Renders the chart with `helm template`. The value `renderOnly` is true, so the rendering is the one for a cluster that
/// contains nothing.
pub(crate) fn template(chart: &Path, install: Install<'_>) -> Result<Vec<Manifest>> {
    render(arguments("template", chart, install), install)
}

/// Renders the chart with `helm template`, as a `GitOps` tool does.
pub(crate) fn template_without_cluster(chart: &Path, install: Install<'_>) -> Result<Vec<Manifest>> {
    let arguments = arguments("template", chart, install).into_iter().filter(|one| one != RENDER_ONLY);
    render(arguments.collect(), install)
}

fn render(mut arguments: Vec<String>, install: Install<'_>) -> Result<Vec<Manifest>> {
    arguments.extend(["--kube-version", KUBE_VERSION].map(str::to_owned));
    for api in install.apis {
        arguments.extend(["--api-versions".to_owned(), api.clone()]);
    }
    parse(&run(arguments)?)
}

/// Disables service monitors for the Helm commands that do not support `--api-versions`. For these commands, the API of
/// service monitors is always missing, so the chart would reject service monitors.
const NO_SERVICE_MONITOR: &str = "--set=global.serviceMonitor.enabled=false";

/// Returns the notes that Helm prints after an installation.
pub(crate) fn notes(chart: &Path, install: Install<'_>) -> Result<String> {
    let mut arguments = arguments("install", chart, install);
    arguments.extend(["--dry-run=client", NO_SERVICE_MONITOR].map(str::to_owned));
    let stdout = run(arguments)?;
    let (_, notes) = stdout.split_once("\nNOTES:\n").ok_or_else(|| anyhow!("no notes in:\n{stdout}"))?;
    Ok(notes.to_owned())
}

/// Runs `helm lint` with these values. A warning counts as a failure.
pub(crate) fn lint(chart: &Path, install: Install<'_>) -> Result<()> {
    let values = install.values.display().to_string();
    let chart = chart.display().to_string();
    let arguments = [
        "lint",
        "--strict",
        &chart,
        "--namespace",
        install.namespace,
        "--values",
        &values,
        NO_SERVICE_MONITOR,
    ];
    run(arguments).map(drop)
}

/// Runs `helm lint` with only the chart's own default values. A subchart cannot be checked with a value set, because
/// most value sets are for the whole chart.
pub(crate) fn lint_with_defaults(chart: &Path) -> Result<()> {
    run(["lint".as_ref(), "--strict".as_ref(), chart.as_os_str()]).map(drop)
}

/// Returns the message with which Helm rejects these values. Fails if Helm accepts them.
pub(crate) fn rejection(values: &str) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("values.yaml");
    fs::write(&file, values)?;
    let install = Install { release: "sightline", namespace: "default", values: &file, apis: &[] };
    match template(&test_chart(), install) {
        Ok(_) => bail!("Helm accepted these values:\n{values}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// Splits Helm's output into manifests. Block scalars are indented, so a line that contains only `---` always separates
/// two documents.
fn parse(stream: &str) -> Result<Vec<Manifest>> {
    let stream = format!("\n{stream}");
    let mut manifests = Vec::new();
    for document in stream.split("\n---\n").filter(|document| !document.trim().is_empty()) {
        let source = document.lines().find_map(|line| line.strip_prefix("# Source: ")).unwrap_or_default();
        // Kubernetes rejects a map that contains a key twice, and only `serde_yaml::Value` does so too.
        let value = serde_yaml::from_str::<serde_yaml::Value>(document)
            .with_context(|| format!("the output of {source} is not YAML:\n{document}"))?;
        let value: Value = serde_json::to_value(value)?;
        if !value.is_null() {
            manifests.push(Manifest { source: source.to_owned(), value });
        }
    }
    ensure!(!manifests.is_empty(), "Helm rendered no manifest");
    Ok(manifests)
}
