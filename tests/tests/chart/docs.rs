//! The README of the values is what their comments say, and the schema knows exactly the values there are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use similar::TextDiff;

use crate::helm;
use crate::rendered::UPDATE;

/// The chart and its parts.
pub(crate) fn charts() -> Result<Vec<PathBuf>> {
    let mut charts = vec![helm::chart()];
    let parts = helm::chart().join("charts");
    for entry in fs::read_dir(&parts).with_context(|| format!("{} cannot be read", parts.display()))? {
        charts.push(entry?.path());
    }
    charts.sort();
    Ok(charts)
}

/// `helm-docs` would write what is committed, and no value is without a comment. Its own strict mode does not know comments
/// that leave the value's name out.
pub(crate) fn readmes() -> Result<()> {
    let program = helm::program("HELM_DOCS", "helm-docs")?;
    let (chart, copy) = (helm::chart(), tempfile::tempdir()?);
    copy_all(&chart, copy.path())?;
    let output = Command::new(program)
        .args(["--log-level", "warning"])
        .arg("--chart-search-root")
        .arg(copy.path())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "helm-docs: {said}");
    let mut wrong = Vec::new();
    for directory in charts()? {
        let path = directory.join("README.md");
        let made = copy.path().join(directory.strip_prefix(&chart)?).join("README.md");
        let made =
            fs::read_to_string(&made).with_context(|| format!("helm-docs wrote no {}", path.display()))?;
        let silent = made.lines().filter(|line| line.starts_with("| ") && line.ends_with("|  |"));
        wrong.extend(
            silent.map(|line| format!("{}: no comment: {line}", directory.join("values.yaml").display())),
        );
        if env::var_os(UPDATE).is_some_and(|value| value == "1") {
            fs::write(&path, &made)?;
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        if committed != made {
            let name = path.display().to_string();
            let diff =
                TextDiff::from_lines(&committed, &made).unified_diff().header(&name, "made now").to_string();
            wrong.push(format!("{diff}\n`make chart {UPDATE}=1` writes it"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A copy in which links are what they link to.
fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let (path, target) =
            (entry.as_ref().map(fs::DirEntry::path), entry.as_ref().map(fs::DirEntry::file_name));
        let (Ok(path), Ok(name)) = (path, target) else { continue };
        let target = to.join(name);
        if path.is_dir() {
            fs::create_dir_all(&target)?;
            copy_all(&path, &target)?;
        } else {
            fs::copy(&path, &target).with_context(|| format!("{} cannot be copied", path.display()))?;
        }
    }
    Ok(())
}

/// Parts of a pod that are given to Kubernetes as they are: of their fields a chart sets some.
const KUBERNETES: [&str; 2] = ["#/definitions/probe", "#/definitions/resources"];

/// Of each chart: every value is in the schema, everything in the schema is a value, and nothing else is taken.
pub(crate) fn schemas() -> Result<()> {
    let mut wrong = Vec::new();
    for chart in charts()? {
        let name = chart.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let read = |file: &str| {
            let path = chart.join(file);
            fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
        };
        let schema: Value =
            serde_json::from_str(&read("values.schema.json")?).context("values.schema.json")?;
        let values: Value = serde_yaml::from_str(&read("values.yaml")?).context("values.yaml")?;
        compare(&schema, &schema, &values, &name, &mut wrong);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn compare(root: &Value, schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    let whose = schema.get("$ref").and_then(Value::as_str).unwrap_or_default();
    let schema = resolve(root, schema);
    let says =
        ["type", "enum", "const", "anyOf", "oneOf", "allOf"].iter().any(|key| schema.get(key).is_some());
    if !says {
        wrong.push(format!("{path}: its schema takes anything"));
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        wrong.push(format!("{path}: its schema takes names it does not know"));
    }
    let empty = serde_json::Map::new();
    let values = value.as_object().unwrap_or(&empty);
    for key in values.keys().filter(|key| !properties.contains_key(*key)) {
        wrong.push(format!("{path}.{key}: a value, and not in the schema"));
    }
    for (key, schema) in properties {
        match values.get(key) {
            Some(value) => compare(root, schema, value, &format!("{path}.{key}"), wrong),
            None if KUBERNETES.contains(&whose) => {}
            None => wrong.push(format!("{path}.{key}: in the schema, and no value")),
        }
    }
}

/// Follows references within the same schema.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
    reference.and_then(|pointer| root.pointer(pointer)).map_or(schema, |found| resolve(root, found))
}
