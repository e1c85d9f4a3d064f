//! The names that exist in a checkout.

use std::path::Path;

use serde::Deserialize;
use toml::Table;

use super::name::Name;
use super::{Sources, values};
use crate::stack::StackSpec;
use crate::stack::spec::FILE_NAME;

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    source: Option<String>,
}

/// Returns the place where the name is used, and what to do. `None` if the name is free. The error says what is wrong
/// with a file.
pub(super) fn problem(
    name: &Name,
    root: &Path,
    sources: &Sources,
    spec: &StackSpec,
) -> Result<Option<String>, (&'static str, String)> {
    let label = name.label();
    let another = |place: &str| Some(format!("{place}: use another name"));
    if let Some(process) = spec.get(label) {
        let owner = if process.is_service() { FILE_NAME } else { "the pipeline" };
        return Ok(another(&format!("{owner} has a service with this name")));
    }
    let directory = format!("services/{label}");
    if root.join(&directory).symlink_metadata().is_ok() {
        return Ok(Some(format!("{directory} exists: use another name, or remove it")));
    }
    let used = values::names(&sources.values).map_err(|problem| (super::VALUES, problem))?;
    if used.iter().any(|used| used == label) {
        return Ok(another(&format!("{} has a service with this name", super::VALUES)));
    }
    // Rust code writes both - and _ as _.
    let is_same = |other: &str| other.replace('-', "_") == name.ident();
    let lock: Lock = toml::from_str(&sources.lock).map_err(|error| (super::LOCK, error.to_string()))?;
    if let Some(package) = lock.package.iter().find(|package| is_same(&package.name)) {
        let kind = if package.source.is_some() { "a dependency" } else { "a package of the workspace" };
        let place =
            format!("{kind}, {}, has this name, so `cargo build --package` would be ambiguous", package.name);
        return Ok(another(&place));
    }
    let manifest: Table =
        toml::from_str(&sources.manifest).map_err(|error| (super::MANIFEST, error.to_string()))?;
    let dependencies = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let mut dependencies = dependencies.and_then(toml::Value::as_table).into_iter().flat_map(Table::keys);
    if dependencies.any(|dependency| is_same(dependency)) {
        return Ok(another("[workspace.dependencies] in Cargo.toml has a dependency with this name"));
    }
    let images = sources.images.as_deref().unwrap_or_default().lines();
    let mut images = images.filter_map(|line| line.split_whitespace().next());
    if images.any(|image| image == label) {
        return Ok(another(&format!("{} has an image with this name", super::IMAGES)));
    }
    Ok(None)
}
