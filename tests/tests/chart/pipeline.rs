//! Checks the configuration of the agent, the gateway and Jaeger, exactly as their pods get the configuration. The
//! arguments of a pod contain the paths of files in a mounted `ConfigMap`, and these files refer to the environment
//! variables of the pod.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar};
use serde_json::Value;

use crate::rendering::{Rendering, Workload};
use crate::snapshots::CollectorConfig;
use crate::{ensure_none, helm};

/// A container of the pipeline: an agent, a gateway or Jaeger.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) workload: Workload,
    pub(crate) container: Container,
    /// The files whose paths are in the `--config` arguments, in the order of the arguments. Each file has its path in
    /// the container and its text. The first file is the base file, and the others are overlays.
    pub(crate) files: Vec<(String, String)>,
}

impl Stage {
    /// The names of the files in `files`, without directories.
    pub(crate) fn file_names(&self) -> Vec<&str> {
        self.files.iter().filter_map(|(path, _)| path.rsplit('/').next()).collect()
    }

    /// The name of the base file without its extension: `agent`, `gateway` or `jaeger`.
    pub(crate) fn role(&self) -> &str {
        self.file_names().first().map_or("", |file| file.trim_end_matches(".yaml"))
    }

    /// Merges all files as the Collector does. If two files contain a map at the same key, the maps are merged. Any
    /// other value is replaced with the value in the later file.
    pub(crate) fn configuration(&self) -> Result<Value> {
        let mut merged = Value::Null;
        for (path, text) in &self.files {
            let overlay = serde_yaml::from_str(text).with_context(|| format!("{path} is not YAML"))?;
            merge(&mut merged, overlay);
        }
        Ok(merged)
    }
}

fn merge(base: &mut Value, overlay: Value) {
    match (base, overlay) {
        (Value::Object(base), Value::Object(overlay)) => {
            for (key, value) in overlay {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, overlay) => *base = overlay,
    }
}

/// Returns the containers that have a `--config` argument.
pub(crate) fn stages(rendering: &Rendering) -> Result<Vec<Stage>> {
    let mut stages = Vec::new();
    for workload in rendering.workloads()? {
        for container in &workload.spec.containers {
            let paths = config_paths(container);
            if paths.is_empty() {
                continue;
            }
            let mounted = mounted_files(rendering, &workload, container)?;
            let files = paths.into_iter().map(|path| {
                let text = mounted.iter().find(|(known, _)| *known == path).map(|(_, text)| text.clone());
                let text =
                    text.with_context(|| format!("{workload}: {path} is not in a mounted ConfigMap"))?;
                Ok((path, text))
            });
            let files = files.collect::<Result<_>>()?;
            stages.push(Stage { workload: workload.clone(), container: container.clone(), files });
        }
    }
    Ok(stages)
}

/// The prefix of an argument that names a configuration file.
const CONFIG: &str = "--config=";

/// Returns the paths in the `--config` arguments.
fn config_paths(container: &Container) -> Vec<String> {
    let arguments = container.args.iter().flatten();
    arguments.filter_map(|argument| argument.strip_prefix(CONFIG)).map(str::to_owned).collect()
}

/// Returns the path and the text of each file that a container mounts from a `ConfigMap`.
pub(crate) fn mounted_files(
    rendering: &Rendering,
    workload: &Workload,
    container: &Container,
) -> Result<Vec<(String, String)>> {
    let maps = rendering.all::<ConfigMap>()?;
    let mut files = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = workload.spec.volumes.iter().flatten().find(|volume| volume.name == mount.name);
        let Some(source) = volume.and_then(|volume| volume.config_map.as_ref()) else { continue };
        let map = maps.iter().find(|map| map.metadata.name.as_ref() == Some(&source.name));
        for (key, text) in map.iter().flat_map(|map| map.data.iter().flatten()) {
            let file = match &source.items {
                None => Some(key.clone()),
                Some(items) => items.iter().find(|item| item.key == *key).map(|item| item.path.clone()),
            };
            files.extend(file.map(|file| (format!("{}/{file}", mount.mount_path), text.clone())));
        }
    }
    Ok(files)
}

/// Each stage uses unchanged files from `collector-config/`, and only files for the stage's role. Only the last overlay
/// can be a different file, because the values of the chart can add an overlay at the end. The first overlay of an
/// agent or a gateway is the overlay for Kubernetes.
pub(crate) fn uses_files_of_collector_config(rendering: &Rendering) -> Result<()> {
    let known = CollectorConfig::read()?;
    for stage in stages(rendering)? {
        let role = stage.role();
        ensure!(
            ["agent", "gateway", "jaeger"].contains(&role),
            "{}: the base file is {role}.yaml, not agent.yaml, gateway.yaml or jaeger.yaml",
            stage.workload
        );
        for (index, (path, text)) in stage.files.iter().enumerate() {
            let file = path.rsplit('/').next().unwrap_or_default();
            let is_last_overlay = index > 0 && index + 1 == stage.files.len();
            match known.name_of(text) {
                Some(name) => ensure!(name == file, "{}: {path} has the text of {name}", stage.workload),
                None => {
                    ensure!(
                        is_last_overlay,
                        "{}: {path} is not the same as any file in collector-config/",
                        stage.workload
                    );
                }
            }
            ensure!(
                file.starts_with(role) || known.name_of(text).is_none(),
                "{}: {path} is for a role other than {role}",
                stage.workload
            );
        }
        if role != "jaeger" {
            let overlay = format!("{role}-kubernetes.yaml");
            ensure!(
                stage.file_names().get(1) == Some(&overlay.as_str()),
                "{}: the second file is not {overlay}: {:?}",
                stage.workload,
                stage.file_names()
            );
        }
    }
    Ok(())
}

/// A pod sets every variable that the pod's configuration files use. These files use every `SIGHTLINE_` variable that
/// the pod sets. The Collector and Jaeger report neither a missing variable nor an unused one: an unset variable
/// becomes an empty string, and a misspelt variable has no effect.
pub(crate) fn environment_matches_the_files(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    for stage in stages(rendering)? {
        let set: Vec<&str> =
            stage.container.env.iter().flatten().map(|variable| variable.name.as_str()).collect();
        // The test looks for variables in the merged configuration, not in each file: without TLS, an overlay removes
        // the settings that use the certificate variables.
        let configuration = stage.configuration()?.to_string();
        let used: BTreeSet<&str> =
            configuration.split("${env:").skip(1).filter_map(|rest| rest.split('}').next()).collect();
        for name in used {
            // A variable with a default value in the configuration can stay unset.
            if !name.contains(":-") && !set.contains(&name) {
                problems.push(format!("{}: {name} is used, but not set", stage.workload));
            }
        }
        let unused =
            set.into_iter().filter(|name| name.starts_with("SIGHTLINE_") && !configuration.contains(name));
        problems.extend(unused.map(|name| format!("{}: {name} is set, but not used", stage.workload)));
    }
    ensure_none(&problems)
}

/// The memory limiter is the first processor of each pipeline that receives OTLP. The limiter must refuse data before
/// the kernel kills the pod for using too much memory, because a killed pod loses all data in memory. The limiter
/// counts the memory that Go is using. For the Collector, the kernel counts more memory than the limiter; the
/// difference is up to a quarter of the pod's memory limit. For Jaeger, the kernel counts less memory than the limiter.
/// `tests/kubernetes/outage.rs` tests the gateways' limit by filling their memory.
pub(crate) fn memory_limiter_is_first_and_low_enough(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    for stage in stages(rendering)? {
        let configuration = stage.configuration()?;
        let percent = |key: &str| configuration["processors"]["memory_limiter"][key].as_u64();
        let limits = percent("limit_percentage").zip(percent("spike_limit_percentage"));
        let highest = if stage.role() == "jaeger" { 85 } else { 65 };
        if limits.is_none_or(|(limit, spike)| limit.saturating_sub(spike) > highest) {
            problems.push(format!(
                "{}: limit_percentage minus spike_limit_percentage must be at most {highest}: {limits:?}",
                stage.workload
            ));
        }
        for (name, pipeline) in configuration["service"]["pipelines"].as_object().into_iter().flatten() {
            let receivers = pipeline["receivers"].as_array();
            let receives_otlp =
                receivers.is_some_and(|receivers| receivers.iter().any(|each| each == "otlp"));
            if receives_otlp && pipeline["processors"][0] != "memory_limiter" {
                problems.push(format!(
                    "{}: memory_limiter is not the first processor of the pipeline {name}",
                    stage.workload
                ));
            }
        }
    }
    ensure_none(&problems)
}

/// The `validate` command of the Collector or Jaeger accepts each configuration without a warning. A deprecated name in
/// a configuration first causes a warning, and two versions later an error.
pub(crate) fn configuration_is_valid(rendering: &Rendering) -> Result<()> {
    let root = tempfile::tempdir()?;
    let mut problems = Vec::new();
    for stage in stages(rendering)? {
        let output = validate(&stage, root.path())?;
        problems
            .extend(output.map(|output| format!("{}: {:?}\n{output}", stage.workload, stage.file_names())));
    }
    ensure_none(&problems)
}

/// Runs `validate` for a stage. Returns the output of the command if the command fails or prints a warning.
fn validate(stage: &Stage, root: &Path) -> Result<Option<String>> {
    let program = match stage.role() {
        "jaeger" => helm::program("JAEGER", "jaeger")?,
        _ => helm::program("OTELCOL", "otelcol")?,
    };
    let directory = root.join(&stage.workload.name);
    let mut command = Command::new(program);
    command.arg("validate").env_clear();
    for (path, text) in &stage.files {
        let file = directory.join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap_or(&directory))?;
        fs::write(&file, text)?;
        command.arg("--config").arg(file);
    }
    // The other arguments, such as feature gates, are checked too: the program fails if it does not know one of them.
    command.args(stage.container.args.iter().flatten().filter(|argument| !argument.starts_with(CONFIG)));
    let mut variables: Vec<(&str, String)> = Vec::new();
    for variable in stage.container.env.iter().flatten() {
        let value = resolve(variable, &variables)?;
        variables.push((&variable.name, value));
    }
    let output = command.envs(variables).output()?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lower = text.to_lowercase();
    let bad = !output.status.success() || lower.contains("warn") || lower.contains("deprecat");
    Ok(bad.then_some(text))
}

/// Returns a value that a kubelet could set for `variable`. References to the variables in `before` are replaced with
/// the values of these variables.
fn resolve(variable: &EnvVar, before: &[(&str, String)]) -> Result<String> {
    let mut value = variable.value.clone().unwrap_or_default();
    if let Some(source) = &variable.value_from {
        value = match source.field_ref.as_ref().map(|field| field.field_path.as_str()) {
            Some("status.podIP" | "status.hostIP") => "10.244.0.9".to_owned(),
            Some("metadata.uid") => "2d5cbc1c-8b6f-4c1f-a7f6-b2c9a6d0c3a1".to_owned(),
            Some(path) => path.rsplit('.').next().unwrap_or_default().to_lowercase(),
            None if source.secret_key_ref.is_some() => "from-a-secret".to_owned(),
            None => bail!("{} comes from {source:?}, which this test does not support", variable.name),
        };
    }
    for (name, known) in before {
        value = value.replace(&format!("$({name})"), known);
    }
    Ok(value)
}
