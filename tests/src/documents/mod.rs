//! The command blocks in this repository's documents.
//!
//! The info string of a block states which test runs the block, or why no test runs it. GitHub and helm-docs ignore all
//! words of an info string after the first one.
//!
//! | info string | meaning |
//! | --- | --- |
//! | `sh test=e2e` | `make e2e` runs the block against a local stack |
//! | `sh test=kind-e2e` | `make kind-e2e` runs the block on a cluster |
//! | `sh test=ci` | each line is a `make` command, and continuous integration runs its targets |
//! | `sh no-run: REASON` | no test runs the block |
//!
//! A block in another language can contain a file that later commands need. The info string of such a block contains
//! the path of the file, for example `rust file=src/main.rs`.

mod markdown;
pub mod shell;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::test_stack::root;

/// Directories that contain no documents of this repository. Hidden directories are also skipped, except [`GITHUB`].
const SKIPPED: [&str; 3] = ["target", "bin", "node_modules"];

/// The only directory that contains documents although its name starts with a dot.
const GITHUB: &str = ".github";

/// What runs the commands of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// The end-to-end tests on this machine: `make e2e`.
    E2e,
    /// The tests on a kind cluster: `make kind-e2e`.
    KindE2e,
    /// Continuous integration, which runs the `make` targets in each line of the block.
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

/// What a block contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Commands, with a mark that states how the commands are tested.
    Commands(Mark),
    /// A file with this path. The path is relative to the working directory of the preceding commands.
    File(String),
}

/// A command block, or a block with a file that commands need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The path of the document relative to the root of the repository, for example `docs/troubleshoot.md`.
    pub page: String,
    /// The line number of the opening fence.
    pub line: usize,
    /// What the block contains.
    pub content: Content,
    /// The lines between the fences.
    pub text: String,
}

impl Block {
    /// The mark of a command block, or `None` for a file.
    #[must_use]
    pub fn mark(&self) -> Option<&Mark> {
        match &self.content {
            Content::Commands(mark) => Some(mark),
            Content::File(_) => None,
        }
    }

    /// Whether this is a command block that `runner` has to run.
    #[must_use]
    pub fn is_for(&self, runner: Runner) -> bool {
        self.mark() == Some(&Mark::Test(runner))
    }
}

/// Shows the location of the block, for example `README.md:28`.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.page, self.line)
    }
}

/// Returns the blocks of all documents. Fails if a block is invalid, and reports all invalid blocks.
pub fn all() -> Result<Vec<Block>> {
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

/// Returns the blocks of `page` that `runner` has to run, and the files that these blocks need. Fails if `page` has no
/// block for `runner`.
pub fn of(page: &str, runner: Runner) -> Result<Vec<Block>> {
    let mut blocks = all()?;
    blocks.retain(|block| block.page == page && (block.is_for(runner) || block.mark().is_none()));
    let count = blocks.iter().filter(|block| block.is_for(runner)).count();
    ensure!(count > 0, "no block in {page} is marked `test={}`", runner.name());
    Ok(blocks)
}

/// Adds two kinds of files below `directory` to `files`: Markdown files, and the templates from which helm-docs
/// generates Markdown files. Leaves out the Markdown files that helm-docs generates, because their templates contain
/// the same blocks.
fn find(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("reading {} failed", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // `is_dir` is false for a symbolic link to a directory. The linked directory is searched at its own path.
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
