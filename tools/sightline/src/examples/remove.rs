//! Removes the examples from a checkout.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use thiserror::Error;

use super::{EXAMPLES, directory, edit};
use crate::stack::StackSpec;
use crate::stack::spec::{FILE_NAME, SpecError};

/// The manifest of the workspace.
const MANIFEST: &str = "Cargo.toml";

type Edit = fn(&str) -> Result<String, String>;

/// The files that list the examples.
const FILES: [(&str, Edit); 4] = [
    (MANIFEST, edit::cargo_toml),
    (FILE_NAME, edit::services_file),
    ("helm/sightline/values.yaml", edit::values),
    ("docs/settings.md", |text| Ok(edit::settings_page(text))),
];

/// What is removed from a checkout.
#[derive(Debug)]
pub struct Removal {
    root: PathBuf,
    directories: Vec<String>,
    /// The path of each file relative to the root, and its new text.
    files: Vec<(&'static str, String)>,
}

/// The reason why the examples cannot be removed.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file cannot be changed.
    #[error("cannot remove the examples from {}: {problem}", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// `sightline.toml` has mistakes.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The examples are still used.
    #[error("the examples are still used:\n{}", .0.join("\n"))]
    Used(
        /// What uses an example, and what to do.
        Vec<String>,
    ),
    /// A file or a directory cannot be written or removed.
    #[error("cannot change {}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// `git` or `cargo` cannot be run or fails.
    #[error("`{command}` failed: {problem}")]
    Command {
        /// The command.
        command: String,
        /// The cause.
        problem: String,
    },
}

impl Removal {
    /// Finds what is left of the examples in the checkout at `root`. Changes nothing.
    ///
    /// Fails if another service or package uses an example, or if a file cannot be changed without other effects.
    pub fn plan(root: &Path) -> Result<Self, RemoveError> {
        let spec = StackSpec::load(&root.join(FILE_NAME))?;
        let mut users = Vec::new();
        for service in spec.services().filter(|service| !EXAMPLES.contains(&service.name.name())) {
            let calls = service.calls.iter().filter(|callee| EXAMPLES.contains(&callee.name()));
            users.extend(
                calls.map(|callee| {
                    format!("  {FILE_NAME}: {} calls {callee}: remove this call", service.name)
                }),
            );
        }
        users.extend(dependents(root)?);
        if !users.is_empty() {
            return Err(RemoveError::Used(users));
        }

        let exists = |directory: &String| root.join(directory).exists();
        let directories = EXAMPLES.into_iter().map(directory).filter(exists).collect();
        let mut files = Vec::new();
        for (name, edit) in FILES {
            let path = root.join(name);
            let text = read(&path)?;
            let edited = edit(&text).map_err(|problem| RemoveError::Edit { path, problem })?;
            if edited != text {
                files.push((name, edited));
            }
        }
        Ok(Self { root: root.to_owned(), directories, files })
    }

    /// Whether nothing is left of the examples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty() && self.files.is_empty()
    }

    /// The directories that are removed, relative to the root of the checkout.
    #[must_use]
    pub fn directories(&self) -> &[String] {
        &self.directories
    }

    /// The files that are changed, relative to the root of the checkout.
    pub fn files(&self) -> impl Iterator<Item = &'static str> {
        self.files.iter().map(|(name, _)| *name)
    }

    /// Returns the files in the directories that git could not restore: changed and new files that are not committed.
    /// Fails if the checkout is not in a git repository.
    pub fn uncommitted(&self) -> Result<Vec<String>, RemoveError> {
        if self.directories.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = Command::new("git");
        command.args(["status", "--porcelain", "--untracked-files=all", "--"]).args(&self.directories);
        let output = run(command.current_dir(&self.root))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// Removes the examples, and removes them from `Cargo.lock`.
    ///
    /// If this fails, the next removal continues.
    pub fn apply(&self) -> Result<(), RemoveError> {
        for (name, text) in &self.files {
            let path = self.root.join(name);
            fs::write(&path, text).map_err(|source| RemoveError::Write { path, source })?;
        }
        for directory in &self.directories {
            let path = self.root.join(directory);
            fs::remove_dir_all(&path).map_err(|source| RemoveError::Write { path, source })?;
        }
        // Cargo sets CARGO for its subcommands and for tests, so they use the same version.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        run(Command::new(cargo).args(["update", "--workspace", "--offline"]).current_dir(&self.root))?;
        Ok(())
    }
}

/// Returns the members of the workspace that depend on an example, without the examples themselves.
fn dependents(root: &Path) -> Result<Vec<String>, RemoveError> {
    let path = root.join(MANIFEST);
    let invalid = |path: &Path, problem: String| RemoveError::Edit { path: path.to_owned(), problem };
    let manifest: toml::Table =
        read(&path)?.parse().map_err(|error: toml::de::Error| invalid(&path, error.to_string()))?;
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members"));
    let members =
        members.and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str);
    let mut users = Vec::new();
    for member in members.filter(|member| !EXAMPLES.iter().any(|name| directory(name) == *member)) {
        let path = root.join(member).join(MANIFEST);
        // A pattern such as `services/*` is not a directory.
        if path.is_file() {
            let names = edit::dependencies(&read(&path)?).map_err(|problem| invalid(&path, problem))?;
            users.extend(
                names.into_iter().map(|name| {
                    format!("  {member}/{MANIFEST}: it depends on {name}: remove this dependency")
                }),
            );
        }
    }
    Ok(users)
}

fn read(path: &Path) -> Result<String, RemoveError> {
    fs::read_to_string(path).map_err(|source| RemoveError::Read { path: path.to_owned(), source })
}

fn run(command: &mut Command) -> Result<Output, RemoveError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    let text = std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ");
    let failed = |problem: String| RemoveError::Command { command: text.clone(), problem };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(output)
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Writes a checkout with one example and the service `shop`, whose manifest and table end with these lines.
    fn checkout(shop_manifest: &str, shop_table: &str) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let package = |name: &str| format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
        let files = [
            (
                "Cargo.toml",
                "[workspace]\nresolver = \"3\"\nmembers = [\n    \"services/user-service\",\n    \"services/shop\",\n]\n\n\
                 [workspace.dependencies]\nuser-service = { path = \"services/user-service\" }\n"
                    .to_owned(),
            ),
            ("services/user-service/Cargo.toml", package("user-service")),
            ("services/user-service/src/lib.rs", String::new()),
            ("services/shop/Cargo.toml", package("shop") + shop_manifest),
            ("services/shop/src/lib.rs", String::new()),
            (
                "sightline.toml",
                "[services.user-service]\npackage = \"user-service\"\nprotocol = \"http\"\nport = 8080\n\n[services.shop]\n\
                 package = \"shop\"\nprotocol = \"worker\"\n"
                    .to_owned()
                    + shop_table,
            ),
            ("helm/sightline/values.yaml", "a: 1\nservices:\n  user-service: {}\n  shop: {}\n".to_owned()),
            ("docs/settings.md", "# Settings\n\n## user-service\n\nx\n".to_owned()),
        ];
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn git(directory: &Path, arguments: &[&str]) {
        let user = ["-c", "user.name=tests", "-c", "user.email=tests@example.org"];
        run(Command::new("git").args(user).args(arguments).current_dir(directory)).unwrap();
    }

    #[test]
    fn removes_the_packages_and_their_entries() {
        let dir = checkout("", "");
        let root = dir.path();
        let removal = Removal::plan(root).unwrap();
        assert_eq!(removal.directories(), ["services/user-service"]);
        assert_eq!(removal.files().count(), 4);
        removal.apply().unwrap();
        assert!(!root.join("services/user-service").exists());
        let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
        assert!(lock.contains("shop") && !lock.contains("user-service"), "{lock}");
        for (name, _) in FILES {
            let text = fs::read_to_string(root.join(name)).unwrap();
            assert!(!text.contains("user-service"), "{name}: {text}");
        }
        assert!(Removal::plan(root).unwrap().is_empty());
    }

    #[test]
    fn continues_after_an_interruption() {
        let dir = checkout("", "");
        fs::remove_dir_all(dir.path().join("services/user-service")).unwrap();
        let removal = Removal::plan(dir.path()).unwrap();
        assert!(removal.directories().is_empty() && !removal.is_empty());
        removal.apply().unwrap();
        assert!(Removal::plan(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn finds_files_that_are_not_committed() {
        let dir = checkout("", "");
        let removal = Removal::plan(dir.path()).unwrap();
        let error = removal.uncommitted().unwrap_err().to_string();
        assert!(error.contains("not a git repository"), "{error}");
        git(dir.path(), &["init", "--quiet"]);
        git(dir.path(), &["add", "--all"]);
        git(dir.path(), &["commit", "--quiet", "--message", "All"]);
        assert_eq!(removal.uncommitted().unwrap(), Vec::<String>::new());
        fs::write(dir.path().join("services/user-service/src/new.rs"), "").unwrap();
        fs::write(dir.path().join("services/shop/src/new.rs"), "").unwrap();
        assert_eq!(removal.uncommitted().unwrap(), ["?? services/user-service/src/new.rs"]);
    }

    #[test]
    fn refuses_to_remove_an_example_that_is_used() {
        let dir = checkout("[dependencies]\nuser-service.workspace = true\n", "calls = [\"user-service\"]\n");
        let error = Removal::plan(dir.path()).unwrap_err().to_string();
        assert!(error.contains("shop calls user-service"), "{error}");
        assert!(error.contains("services/shop/Cargo.toml: it depends on user-service"), "{error}");
    }
}
