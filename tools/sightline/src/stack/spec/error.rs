//! The errors of a services file.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The error of [`StackSpec::load`](super::StackSpec::load) and [`StackSpec::parse`](super::StackSpec::parse).
#[derive(Debug, Error)]
pub enum SpecError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file has mistakes. The message has one paragraph for each mistake.
    #[error("{}", list(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All mistakes that were found, in the order of their lines.
        problems: Vec<Problem>,
    },
    /// Cargo could not describe the workspace of the file.
    #[error("cannot find the programs of the packages in {}: `cargo metadata` failed: {problem}", directory.display())]
    Cargo {
        /// The directory of the file.
        directory: PathBuf,
        /// What Cargo printed, or why it could not be started.
        problem: String,
    },
    /// A name for a service that is started by hand cannot be used.
    #[error("{0:?} cannot be the name of a service: {1}")]
    Name(String, String),
}

/// One mistake in a services file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The number of the line. The first line is 1.
    pub line: usize,
    /// The text of the line.
    pub text: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  | {}", self.message, self.text.trim())
    }
}

fn list(path: &Path, problems: &[Problem]) -> String {
    let describe = |problem: &Problem| format!("{}:{}: {problem}", path.display(), problem.line);
    problems.iter().map(describe).collect::<Vec<_>>().join("\n")
}

/// Collects the mistakes of one file.
#[derive(Debug)]
pub(super) struct Problems<'a> {
    source: &'a str,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, found: Vec::new() }
    }

    /// Records a mistake at this range of bytes.
    pub(super) fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        let line = self.line(span.start);
        let text = self.source.lines().nth(line - 1).unwrap_or_default().to_owned();
        let problem = Problem { line, text, message: message.into() };
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    /// Returns the number of the line that contains this byte. The first line is 1.
    pub(super) fn line(&self, byte: usize) -> usize {
        let before = self.source.as_bytes().iter().take(byte);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    /// Returns an error if there are mistakes.
    pub(super) fn finish(mut self, path: &Path) -> Result<(), SpecError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|problem| problem.line);
        Err(SpecError::Invalid { path: path.to_owned(), problems: self.found })
    }
}

/// Returns the candidate that `word` is probably meant to be, if one is similar enough.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate)).min()?;
    // Up to a third of the characters may differ, but at least two, so that `prot` suggests `port`.
    let limit = (word.chars().count() / 3).max(2);
    (best.0 <= limit).then_some(best.1)
}

/// The Levenshtein distance: the number of characters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_similar_words() {
        let keys = ["port", "protocol", "admin-port", "calls"];
        assert_eq!(nearest("prot", keys), Some("port"));
        assert_eq!(nearest("admin_port", keys), Some("admin-port"));
        assert_eq!(nearest("call", keys), Some("calls"));
        assert_eq!(nearest("replicas", keys), None);
    }
}
