//! Checks of the chart's files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use serde_json::{Value, json};

use crate::snapshots::{UPDATE, updates};
use crate::{ensure_none, helm};

/// Git sources of Flux and of Rancher drop symbolic links, so they could not install a chart that contains one.
pub(crate) fn are_not_symbolic_links() -> Result<()> {
    let mut problems = Vec::new();
    find_links(&helm::chart(), &mut problems)?;
    ensure_none(&problems)
}

fn find_links(directory: &Path, problems: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            problems.push(format!("{} is a symbolic link", entry.path().display()));
        } else if kind.is_dir() {
            find_links(&entry.path(), problems)?;
        }
    }
    Ok(())
}

/// The prefixes of the files in `collector-config/` that each subchart uses.
const CONFIG_FILES: [(&str, &[&str]); 2] =
    [("collector", &["agent", "gateway"]), ("jaeger", &["jaeger", "victoria", "vmauth"])];

/// The directory `config` of a subchart contains copies of files in `collector-config/`. The files for a local stack are
/// not copied. The directory `dashboards` contains copies of the generated dashboards, and `alerts` copies of the rules.
pub(crate) fn config_is_a_copy() -> Result<()> {
    let mut problems = Vec::new();
    for (subchart, prefixes) in CONFIG_FILES {
        let copies = helm::chart().join("charts").join(subchart).join("config");
        compare(&helm::repository().join("collector-config"), &copies, prefixes, &mut problems)?;
    }
    for (original, copy) in [("deploy/dashboards/vmui", "dashboards"), ("deploy/alerts", "alerts")] {
        let original = helm::repository().join(original);
        let prefixes: Vec<String> = names(&original)?
            .iter()
            .filter(|name| name.contains('.'))
            .filter_map(|name| name.split(['-', '.']).next())
            .map(str::to_owned)
            .collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        compare(&original, &helm::chart().join("charts/jaeger").join(copy), &prefixes, &mut problems)?;
    }
    ensure_none(&problems)
}

fn compare(originals: &Path, copies: &Path, prefixes: &[&str], problems: &mut Vec<String>) -> Result<()> {
    let update = updates();
    let mut expected = BTreeSet::new();
    for name in names(originals)? {
        let component = name.split(['-', '.']).next().unwrap_or_default();
        if !prefixes.contains(&component) || name.ends_with("-local.yaml") {
            continue;
        }
        let (original, copy) = (originals.join(&name), copies.join(&name));
        if update {
            fs::create_dir_all(copies)?;
            fs::copy(&original, &copy).with_context(|| format!("{} cannot be written", copy.display()))?;
        }
        if fs::read(&copy).ok() != Some(fs::read(&original)?) {
            problems.push(format!(
                "{} differs from {}: run `make chart {UPDATE}=1`",
                copy.display(),
                original.display()
            ));
        }
        expected.insert(name);
    }
    ensure!(!expected.is_empty(), "{} has no file for {prefixes:?}", originals.display());
    for name in names(copies)?.difference(&expected) {
        problems.push(format!("{} is not a copy: delete it", copies.join(name).display()));
    }
    Ok(())
}

fn names(directory: &Path) -> Result<BTreeSet<String>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// A JSON schema cannot refer to another file of a chart. The umbrella chart's schema therefore contains the schema of
/// the chart `service`, which describes each entry of `services`. An entry has no `global`.
pub(crate) fn schema_of_services_is_a_copy() -> Result<()> {
    let read = |path: &Path| -> Result<Value> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
    };
    let path = helm::chart().join("values.schema.json");
    let umbrella = read(&path)?;
    let mut service = read(&helm::chart().join("charts/service/values.schema.json"))?;
    let mut expected = umbrella.clone();
    let definitions = &mut expected["definitions"];
    for (name, definition) in service["definitions"].as_object().context("the schema has no definitions")? {
        definitions[name] = definition.clone();
    }
    let properties = service["properties"].as_object_mut().context("the schema has no properties")?;
    properties.shift_remove("global").context("the schema of a service has no global")?;
    definitions["service"] = json!({
        "description": "A service. Copied from charts/service/values.schema.json.",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if updates() {
        return Ok(fs::write(&path, serde_json::to_string_pretty(&expected)? + "\n")?);
    }
    ensure!(
        expected == umbrella,
        "the schema of an entry in services differs from the schema of the chart service: run `make chart {UPDATE}=1`"
    );
    Ok(())
}
