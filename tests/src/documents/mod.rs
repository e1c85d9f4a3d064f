//! The blocks of commands in the documents of this repository.
//!
//! Each block states in its info string which test runs it, or why no test does. GitHub and helm-docs ignore all words
//! after the first one.
//!
//! | info string | meaning |
//! | --- | --- |
//! | `sh test=e2e` | `make e2e` runs the block against a local stack |
//! | `sh test=kind-e2e` | `make kind-e2e` runs the block on a cluster |
//! | `sh test=ci` | each line is a `make` target that continuous integration runs |
//! | `sh no-run: REASON` | no test runs the block |

mod markdown;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::test_stack::root;

/// Directories without documents.
const SKIPPED: [&str; 3] = ["target", "bin", "node_modules"];

/// The one directory with a leading dot that has documents.
const GITHUB: &str = ".github";

/// What runs a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// The end-to-end tests on this machine: `make e2e`.
    E2e,
    /// The tests on a kind cluster: `make kind-e2e`.
    KindE2e,
    /// Continuous integration, because each line is a `make` target that it runs.
    Ci,
}

impl Runner {
    /// All runners.
    pub const ALL: [Self; 3] = [Self::E2e, Self::KindE2e, Self::Ci];

    /// The value of `test=` in an info string.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::E2e => "e2e",
            Self::KindE2e => "kind-e2e",
            Self::Ci => "ci",
        }
    }
}

/// How a block is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `test=NAME`.
    Test(Runner),
    /// `no-run: REASON`, with the reason.
    NoRun(String),
}

/// A block of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandBlock {
    /// File and line, for example `README.md:28`.
    pub place: String,
    /// How the block is tested.
    pub mark: Mark,
    /// The lines between the fences.
    pub commands: String,
}

impl fmt::Display for CommandBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:\n{}", self.place, self.commands)
    }
}

/// Returns the blocks of commands of all documents. Fails with every block that has no valid mark.
pub fn all() -> Result<Vec<CommandBlock>> {
    let root = root();
    let mut files = Vec::new();
    find(&root, &mut files)?;
    files.sort();
    let (mut blocks, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("reading {} failed", file.display()))?;
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        markdown::parse(&name, &text, &mut blocks, &mut problems);
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(blocks)
}

/// Returns the blocks that `runner` has to run. Fails if there are none.
pub fn of(runner: Runner) -> Result<Vec<CommandBlock>> {
    let mut blocks = all()?;
    blocks.retain(|block| block.mark == Mark::Test(runner));
    ensure!(!blocks.is_empty(), "no block in the documents is marked `test={}`", runner.name());
    Ok(blocks)
}

/// Adds the Markdown files below `directory` to `files`. Leaves out a file that helm-docs generates from a template,
/// because the template has the same blocks.
fn find(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("reading {} failed", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // This is false for a symbolic link, whose target is found at its own place.
        if entry.file_type()?.is_dir() {
            let hidden = name.starts_with('.') && name != GITHUB;
            if !hidden && !SKIPPED.contains(&&*name) {
                find(&path, files)?;
            }
        } else if name.ends_with(".md.gotmpl")
            || name.ends_with(".md") && !path.with_extension("md.gotmpl").exists()
        {
            files.push(path);
        }
    }
    Ok(())
}
