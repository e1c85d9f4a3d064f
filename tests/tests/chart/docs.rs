//! Checks that the charts' READMEs contain the comments in `values.yaml`, and that the schemas describe exactly the
//! values in `values.yaml`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use similar::TextDiff;

use crate::snapshots::{UPDATE, updates};
use crate::{ensure_none, helm};

/// The directories of the chart and its subcharts.
pub(crate) fn charts() -> Result<Vec<PathBuf>> {
    let mut charts = vec![helm::chart()];
    let subcharts = helm::chart().join("charts");
    let entries =
        fs::read_dir(&subcharts).with_context(|| format!("{} cannot be read", subcharts.display()))?;
    for entry in entries {
        charts.push(entry?.path());
    }
    charts.sort();
    Ok(charts)
}

/// The directories of the charts that can be installed alone. The other subcharts use the templates of `service`.
pub(crate) fn installable_charts() -> [PathBuf; 2] {
    [helm::chart(), helm::chart().join("charts/service")]
}

/// Each README matches the output of `helm-docs`, and each value in a `values.yaml` has a comment. The strict mode of
/// `helm-docs` rejects comments that do not contain the value's name, so this test does not use the strict mode and
/// looks for missing comments itself.
pub(crate) fn readmes_are_as_generated() -> Result<()> {
    let program = helm::program("HELM_DOCS", "helm-docs")?;
    let (chart, copy) = (helm::chart(), tempfile::tempdir()?);
    helm::copy_directory(&chart, copy.path())?;
    let output = Command::new(program)
        .args(["--log-level", "warning"])
        .arg("--chart-search-root")
        .arg(copy.path())
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && stderr.is_empty(), "helm-docs: {stderr}");
    let mut problems = Vec::new();
    for directory in charts()? {
        let path = directory.join("README.md");
        let generated = copy.path().join(directory.strip_prefix(&chart)?).join("README.md");
        let generated = fs::read_to_string(&generated)
            .with_context(|| format!("helm-docs did not generate {}", path.display()))?;
        let values = directory.join("values.yaml");
        let undocumented = generated.lines().filter(|line| line.starts_with("| ") && line.ends_with("|  |"));
        problems.extend(
            undocumented.map(|line| format!("{}: this value has no comment: {line}", values.display())),
        );
        if updates() {
            fs::write(&path, &generated)?;
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        if committed != generated {
            let name = path.display().to_string();
            let diff = TextDiff::from_lines(&committed, &generated)
                .unified_diff()
                .header(&name, "generated now")
                .to_string();
            problems.push(format!("{diff}\nrun `make chart {UPDATE}=1` to update it"));
        }
    }
    ensure_none(&problems)
}

/// The schema definitions of values that the chart copies into a pod unchanged. The default values set only some fields
/// in these definitions.
const KUBERNETES_DEFINITIONS: [&str; 2] = ["#/definitions/probe", "#/definitions/resources"];

/// In each chart, every value is in the schema, and the schema rejects unknown names. Every property in the schema is a
/// value, unless the property is in one of the [`KUBERNETES_DEFINITIONS`].
pub(crate) fn schemas_match_values() -> Result<()> {
    let mut problems = Vec::new();
    for chart in charts()? {
        let name = chart.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let read = |file: &str| {
            let path = chart.join(file);
            fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
        };
        let schema: Value =
            serde_json::from_str(&read("values.schema.json")?).context("values.schema.json")?;
        let values: Value = serde_yaml::from_str(&read("values.yaml")?).context("values.yaml")?;
        compare(&schema, &schema, &values, &name, &mut problems);
    }
    ensure_none(&problems)
}

fn compare(root: &Value, schema: &Value, value: &Value, path: &str, problems: &mut Vec<String>) {
    let definition = schema.get("$ref").and_then(Value::as_str).unwrap_or_default();
    let schema = resolve(root, schema);
    let is_constrained =
        ["type", "enum", "const", "anyOf", "oneOf", "allOf"].iter().any(|key| schema.get(key).is_some());
    if !is_constrained {
        problems.push(format!("{path}: the schema accepts any value"));
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        problems.push(format!("{path}: the schema accepts unknown names"));
    }
    let empty = serde_json::Map::new();
    let values = value.as_object().unwrap_or(&empty);
    for key in values.keys().filter(|key| !properties.contains_key(*key)) {
        problems.push(format!("{path}.{key}: this value is not in the schema"));
    }
    for (key, schema) in properties {
        match values.get(key) {
            Some(value) => compare(root, schema, value, &format!("{path}.{key}"), problems),
            None if KUBERNETES_DEFINITIONS.contains(&definition) => {}
            // The chart rejects a deprecated value, and the message says what to use.
            None if schema.get("deprecated") == Some(&Value::Bool(true)) => {}
            None => problems.push(format!("{path}.{key}: this schema property is not in the values")),
        }
    }
}

/// Follows `$ref`s within the same schema.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
    reference.and_then(|pointer| root.pointer(pointer)).map_or(schema, |found| resolve(root, found))
}
