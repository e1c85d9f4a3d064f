//! The configuration of agent, gateway and Jaeger, exactly as their pods get it: the files their arguments name, out of the
//! `ConfigMap` that is mounted there, with the environment of the pod.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar};
use serde_json::Value;

use crate::case::{Rendering, Workload};
use crate::helm;
use crate::rendered::PipelineFiles;

/// A program of the pipeline, in a pod.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) workload: Workload,
    pub(crate) container: Container,
    /// The files of `--config`, in their order: path in the container and text.
    pub(crate) layers: Vec<(String, String)>,
}

impl Stage {
    /// The file names of its layers.
    pub(crate) fn files(&self) -> Vec<&str> {
        self.layers.iter().filter_map(|(path, _)| path.rsplit('/').next()).collect()
    }

    /// `agent`, `gateway` or `jaeger`, by the file it begins with.
    pub(crate) fn role(&self) -> &str {
        self.files().first().map_or("", |file| file.trim_end_matches(".yaml"))
    }

    /// All layers in one: maps are merged, everything else is replaced by the later.
    pub(crate) fn configuration(&self) -> Result<Value> {
        let mut whole = Value::Null;
        for (path, text) in &self.layers {
            let layer = serde_yaml::from_str(text).with_context(|| format!("{path} is not YAML"))?;
            merge(&mut whole, layer);
        }
        Ok(whole)
    }
}

fn merge(whole: &mut Value, layer: Value) {
    match (whole, layer) {
        (Value::Object(whole), Value::Object(layer)) => {
            for (key, value) in layer {
                merge(whole.entry(key).or_insert(Value::Null), value);
            }
        }
        (whole, layer) => *whole = layer,
    }
}

/// Every container that is told of a configuration.
pub(crate) fn stages(rendering: &Rendering) -> Result<Vec<Stage>> {
    let mut stages = Vec::new();
    for workload in rendering.workloads()? {
        for container in &workload.spec.containers {
            let paths = configured(container);
            if paths.is_empty() {
                continue;
            }
            let mounted = mounted(rendering, &workload, container)?;
            let layers = paths.into_iter().map(|path| {
                let text = mounted.iter().find(|(known, _)| *known == path).map(|(_, text)| text.clone());
                let text =
                    text.with_context(|| format!("{workload}: {path} is in no ConfigMap that is mounted"))?;
                Ok((path, text))
            });
            let layers = layers.collect::<Result<_>>()?;
            stages.push(Stage { workload: workload.clone(), container: container.clone(), layers });
        }
    }
    Ok(stages)
}

/// How the chart writes that a file is to be loaded.
const CONFIG: &str = "--config=";

/// The values of `--config`.
fn configured(container: &Container) -> Vec<String> {
    let arguments = container.args.iter().flatten();
    arguments.filter_map(|argument| argument.strip_prefix(CONFIG)).map(str::to_owned).collect()
}

/// Every file that the `ConfigMap`s put into a container, with its text.
fn mounted(
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
            let place = match &source.items {
                None => Some(key.clone()),
                Some(items) => items.iter().find(|item| item.key == *key).map(|item| item.path.clone()),
            };
            files.extend(place.map(|place| (format!("{}/{place}", mount.mount_path), text.clone())));
        }
    }
    Ok(files)
}

/// There are the stages there should be, and each is made of files of `collector-config/`, unchanged; only the last, which
/// the values write, is not.
pub(crate) fn layers(rendering: &Rendering) -> Result<()> {
    let known = PipelineFiles::read()?;
    for stage in stages(rendering)? {
        let role = stage.role();
        ensure!(
            ["agent", "gateway", "jaeger"].contains(&role),
            "{}: begins with {role}.yaml",
            stage.workload
        );
        for (index, (path, text)) in stage.layers.iter().enumerate() {
            let file = path.rsplit('/').next().unwrap_or_default();
            let last = index > 0 && index + 1 == stage.layers.len();
            match known.name_of(text) {
                Some(name) => ensure!(name == file, "{}: {path} is {name}", stage.workload),
                None => {
                    ensure!(last, "{}: {path} is no file of collector-config/, or changed", stage.workload);
                }
            }
            ensure!(file.starts_with(role) || known.name_of(text).is_none(), "{}: {path}", stage.workload);
        }
        if role != "jaeger" {
            let layer = format!("{role}-kubernetes.yaml");
            ensure!(stage.files().get(1) == Some(&layer.as_str()), "{}: {:?}", stage.workload, stage.files());
        }
    }
    Ok(())
}

/// The pod sets what its files ask for, and nothing of ours that no file asks for: a program takes an empty address for an
/// address, and a misspelt setting for none.
pub(crate) fn environment(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    for stage in stages(rendering)? {
        let set: Vec<&str> =
            stage.container.env.iter().flatten().map(|variable| variable.name.as_str()).collect();
        // Of what is left when all layers are laid over each other: no certificates where there is no TLS.
        let said = stage.configuration()?.to_string();
        let asked: BTreeSet<&str> =
            said.split("${env:").skip(1).filter_map(|rest| rest.split('}').next()).collect();
        for asked in asked {
            // What has a default may be left out.
            if !asked.contains(":-") && !set.contains(&asked) {
                wrong.push(format!("{}: {asked} is asked for, and not set", stage.workload));
            }
        }
        for name in set.into_iter().filter(|name| name.starts_with("SIGHTLINE_") && !said.contains(name)) {
            wrong.push(format!("{}: {name} is set, and no file asks for it", stage.workload));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The memory limiter comes first and refuses before the kernel ends the pod, with all it holds in memory. What it counts
/// is what Go has in use. Of the Collector the kernel counts more, up to a quarter of the limit: a case on a cluster has
/// gateways full. Of Jaeger it counts less.
pub(crate) fn memory(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    for stage in stages(rendering)? {
        let whole = stage.configuration()?;
        let percent = |key: &str| whole["processors"]["memory_limiter"][key].as_u64();
        let refuses = percent("limit_percentage").zip(percent("spike_limit_percentage"));
        let most = if stage.role() == "jaeger" { 85 } else { 65 };
        if refuses.is_none_or(|(limit, spike)| limit.saturating_sub(spike) > most) {
            wrong.push(format!(
                "{}: refuses from {refuses:?} % (less the spike) of its memory",
                stage.workload
            ));
        }
        for (name, pipeline) in whole["service"]["pipelines"].as_object().into_iter().flatten() {
            let receivers = pipeline["receivers"].as_array();
            let takes = receivers.is_some_and(|receivers| receivers.iter().any(|each| each == "otlp"));
            if takes && pipeline["processors"][0] != "memory_limiter" {
                wrong.push(format!("{}: pipeline {name} has no memory_limiter first", stage.workload));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Each program takes its configuration, without a warning: an old name only warns, and is gone two versions later.
pub(crate) fn validates(rendering: &Rendering) -> Result<()> {
    let root = tempfile::tempdir()?;
    let mut wrong = Vec::new();
    for stage in stages(rendering)? {
        let said = validate(&stage, root.path())?;
        wrong.extend(said.map(|said| format!("{}: {:?}\n{said}", stage.workload, stage.files())));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What is wrong with a stage, if anything.
fn validate(stage: &Stage, root: &Path) -> Result<Option<String>> {
    let program = match stage.role() {
        "jaeger" => helm::program("JAEGER", "jaeger")?,
        _ => helm::program("OTELCOL", "otelcol")?,
    };
    let directory = root.join(&stage.workload.name);
    let mut command = Command::new(program);
    command.arg("validate").env_clear();
    for (path, text) in &stage.layers {
        let file = directory.join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap_or(&directory))?;
        fs::write(&file, text)?;
        command.arg("--config").arg(file);
    }
    // Feature gates and the like, which it knows or refuses.
    command.args(stage.container.args.iter().flatten().filter(|argument| !argument.starts_with(CONFIG)));
    let mut set: Vec<(&str, String)> = Vec::new();
    for variable in stage.container.env.iter().flatten() {
        let value = value(variable, &set)?;
        set.push((&variable.name, value));
    }
    let output = command.envs(set).output()?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lower = said.to_lowercase();
    let bad = !output.status.success() || lower.contains("warn") || lower.contains("deprecat");
    Ok(bad.then_some(said))
}

/// What a kubelet would set.
fn value(variable: &EnvVar, before: &[(&str, String)]) -> Result<String> {
    let mut value = variable.value.clone().unwrap_or_default();
    if let Some(source) = &variable.value_from {
        value = match source.field_ref.as_ref().map(|field| field.field_path.as_str()) {
            Some("status.podIP" | "status.hostIP") => "10.244.0.9".to_owned(),
            Some("metadata.uid") => "2d5cbc1c-8b6f-4c1f-a7f6-b2c9a6d0c3a1".to_owned(),
            Some(path) => path.rsplit('.').next().unwrap_or_default().to_lowercase(),
            None if source.secret_key_ref.is_some() => "from-a-secret".to_owned(),
            None => bail!("{} is from {source:?}, which this test cannot follow", variable.name),
        };
    }
    for (name, known) in before {
        value = value.replace(&format!("$({name})"), known);
    }
    Ok(value)
}
