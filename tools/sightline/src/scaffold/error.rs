//! The errors of a new service.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::stack::SpecError;

/// The reason why a service was not created. If files were already written, they were restored.
#[derive(Debug, Error)]
pub enum ScaffoldError {
    /// The name cannot be used.
    #[error("{name:?} cannot be the name of a service: {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A port cannot be used.
    #[error("{option} {number} cannot be used: {problem}")]
    Port {
        /// The option.
        option: &'static str,
        /// The number of the port.
        number: u16,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// There is no free number for a port.
    #[error("no number above {0} is free for a port: set --port and --admin-port")]
    NoFreePort(u16),
    /// A file has an unexpected form, so it cannot be changed.
    #[error("cannot add the service to {}: {problem}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// `sightline.toml` has mistakes, with or without the new service.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A file or directory could not be read.
    #[error("cannot read {}: is this directory a whole checkout of Sightline?", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file or directory could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Cargo failed.
    #[error("`{command}` failed, and all changes were undone: {problem}")]
    Cargo {
        /// The command.
        command: String,
        /// What Cargo printed, or why it could not be started.
        problem: String,
    },
    /// A step failed, and not all changes could be undone.
    #[error("{cause}; then {} could not be restored ({source}): use git to restore it", path.display())]
    Undo {
        /// The error of the step.
        cause: Box<Self>,
        /// The file or directory.
        path: PathBuf,
        /// Why it was not restored.
        source: io::Error,
    },
}
