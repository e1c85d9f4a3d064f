//! The commands of Cargo that complete a new service.

use std::path::Path;
use std::process::Command;

use super::ScaffoldError;
use super::name::Name;

/// Formats the crate. The new name is longer or shorter than the name in the template, which changes where lines are
/// broken.
pub(super) fn format(root: &Path, name: &Name) -> Result<(), ScaffoldError> {
    run(root, &["fmt", "--package", name.label()])
}

/// Adds the crate to `Cargo.lock`. Uses the network only if Cargo has no index of the registry.
pub(super) fn update_lock(root: &Path) -> Result<(), ScaffoldError> {
    let arguments = ["update", "--workspace", "--quiet"];
    run(root, &[&arguments[..], &["--offline"]].concat()).or_else(|_| run(root, &arguments))
}

fn run(root: &Path, arguments: &[&str]) -> Result<(), ScaffoldError> {
    let failed =
        |problem: String| ScaffoldError::Cargo { command: format!("cargo {}", arguments.join(" ")), problem };
    // Cargo sets CARGO for its subcommands and for tests, so they use the same version.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(root)
        .output()
        .map_err(|error| failed(format!("cannot run cargo: {error}")))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}
