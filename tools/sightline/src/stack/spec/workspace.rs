//! Finds the programs of Cargo packages in the workspace of a services file.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::error::{Problem, SpecError, nearest};
use super::{Program, StackSpec};

/// The part of `cargo metadata` that is used here.
#[derive(Deserialize)]
struct Metadata {
    target_directory: PathBuf,
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
    default_run: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// See [`StackSpec::resolve_packages`].
pub(super) fn resolve(spec: &mut StackSpec) -> Result<(), SpecError> {
    let Some((file, root)) = spec.file().zip(spec.root()) else { return Ok(()) };
    if spec.packages().is_empty() {
        return Ok(());
    }
    let (file, metadata) = (file.to_owned(), metadata(root)?);
    let mut problems = Vec::new();
    for process in &mut spec.processes {
        let Some(Program::Package(package)) = &process.program else { continue };
        match metadata.program(package) {
            Ok(program) => {
                process.program = Some(Program::File {
                    path: metadata.target_directory.join("release").join(program),
                    build: Some(format!("cargo build --release --package {package}")),
                });
            }
            Err(message) => problems.push((process.line, message)),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(invalid(file, problems)) }
}

fn metadata(directory: &Path) -> Result<Metadata, SpecError> {
    let failed = |problem| SpecError::Cargo { directory: directory.to_owned(), problem };
    // Cargo sets CARGO for its subcommands and for tests, so they use the same version.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(directory)
        .output()
        .map_err(|error| failed(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

impl Metadata {
    /// Returns the file name of the package's program. The error says what is wrong and what to do.
    fn program(&self, name: &str) -> Result<&str, String> {
        let Some(package) = self.packages.iter().find(|package| package.name == name) else {
            let names = self.packages.iter().map(|package| package.name.as_str());
            let advice = nearest(name, names).map_or_else(
                || "add it to the workspace, or use `program` with a path".to_owned(),
                |nearest| format!("did you mean {nearest:?}?"),
            );
            return Err(format!("the Cargo workspace of this file has no package {name:?}: {advice}"));
        };
        let is_program = |target: &&Target| target.kind.iter().any(|kind| kind == "bin");
        let programs: Vec<&str> =
            package.targets.iter().filter(is_program).map(|target| target.name.as_str()).collect();
        match (&package.default_run, programs.as_slice()) {
            (Some(program), _) => Ok(program),
            (None, [program]) => Ok(program),
            (None, []) => Err(format!("the package {name:?} has no program: name a package with a program")),
            (None, several) => Err(format!(
                "the package {name:?} has the programs {}: set `default-run` in its Cargo.toml, or use `program` \
                 with a path",
                several.join(", ")
            )),
        }
    }
}

fn invalid(path: PathBuf, problems: Vec<(usize, String)>) -> SpecError {
    // The text of a line only adds detail, so a failure to read the file again is ignored.
    let source = std::fs::read_to_string(&path).unwrap_or_default();
    let problem = |(line, message): (usize, String)| {
        let text = source.lines().nth(line.saturating_sub(1)).unwrap_or_default().to_owned();
        Problem { line, text, message }
    };
    SpecError::Invalid { problems: problems.into_iter().map(problem).collect(), path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(dir: &Path, package: &str) -> StackSpec {
        let file = dir.join("other.toml");
        let text = format!("[services.one]\npackage = \"{package}\"\nprotocol = \"worker\"\n");
        std::fs::write(&file, text).unwrap();
        StackSpec::load(&file).unwrap()
    }

    #[test]
    fn a_package_becomes_the_program_that_cargo_builds() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = "[package]\nname = \"shop\"\nedition = \"2024\"\n[workspace]\n\
                        [[bin]]\nname = \"shop-server\"\npath = \"main.rs\"\n";
        std::fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
        std::fs::write(dir.path().join("main.rs"), "fn main() {}").unwrap();
        let mut spec = load(dir.path(), "shop");
        spec.resolve_packages().unwrap();
        let Some(Program::File { path, build }) = &spec.get("one").unwrap().program else {
            panic!("{spec:?}");
        };
        assert!(path.ends_with("release/shop-server"), "{}", path.display());
        assert_eq!(build.as_deref(), Some("cargo build --release --package shop"));

        let error = load(dir.path(), "shap").resolve_packages().unwrap_err().to_string();
        assert!(
            error.contains("other.toml:2: the Cargo workspace of this file has no package \"shap\""),
            "{error}"
        );
        assert!(error.contains("did you mean \"shop\"?\n  | package = \"shap\""), "{error}");
    }

    #[test]
    fn a_directory_without_a_workspace_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path(), "shop").resolve_packages().unwrap_err().to_string();
        assert!(error.contains("`cargo metadata` failed") && error.contains("Cargo.toml"), "{error}");
    }
}
