//! What can go wrong, each with what to do about it.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

use super::ports::{PortError, PortInUse};
use super::process::Process;
use crate::certs::CertsError;

/// Why the stack does not run.
#[derive(Debug, Error)]
pub enum StackError {
    /// Ports that cannot be listened on; found before anything was started.
    #[error("{}", lines(.0))]
    PortsInUse(Vec<PortInUse>),
    /// Ports that cannot be used at all.
    #[error(transparent)]
    Ports(#[from] PortError),
    /// A program is not there.
    #[error("the program of {process} is missing: no file {}. {remedy}", path.display())]
    MissingBinary {
        /// Whose.
        process: Process,
        /// Where it was looked for.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// A configuration file of the pipeline is not there.
    #[error("no pipeline configuration in {}: it is the directory collector-config of a checkout", .0.display())]
    MissingConfig(PathBuf),
    /// A directory of the state could not be made or used.
    #[error("cannot use {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another stack runs on the same state.
    #[error(
        "another stack{} runs on {}: stop it, or give this one a directory of its own with --dir",
        pid.as_ref().map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        dir.display()
    )]
    InUse {
        /// The state's directory.
        dir: PathBuf,
        /// The other's process.
        pid: Option<String>,
    },
    /// No certificates.
    #[error("no certificates for mutual TLS")]
    Certs(#[from] CertsError),
    /// A process could not be started.
    #[error("cannot start {process} ({})", program.display())]
    Spawn {
        /// Which.
        process: Process,
        /// Its program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The client that asks for health could not be made.
    #[error("cannot set up an HTTP client")]
    Client(#[source] reqwest::Error),
    /// A process ended by itself.
    #[error("{}", died(*process, *status, log, tail))]
    Died {
        /// Which.
        process: Process,
        /// How.
        status: ExitStatus,
        /// Where it wrote.
        log: PathBuf,
        /// Its last lines.
        tail: Vec<String>,
    },
    /// A process did not get healthy in time.
    #[error(
        "{process} is not healthy after {} s ({url}: {last}). Its log {} ends:{}",
        waited.as_secs(),
        log.display(),
        quoted(tail)
    )]
    NotReady {
        /// Which.
        process: Process,
        /// How long it was given.
        waited: Duration,
        /// Where its health was asked for.
        url: String,
        /// The last answer.
        last: String,
        /// Where it wrote.
        log: PathBuf,
        /// Its last lines.
        tail: Vec<String>,
    },
    /// A process that this stack does not run.
    #[error("{0} does not run in this stack")]
    NotRunning(Process),
}

/// The first of them, each on a line. Many at once are another stack, and a list of them all helps nobody.
fn lines(ports: &[PortInUse]) -> String {
    const SHOWN: usize = 3;
    let mut text = ports.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("\n");
    if ports.len() > SHOWN {
        let more = ports.len() - SHOWN;
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\nand {more} more. To run beside what is there: --free-ports, and a --dir of its own"
        );
    }
    text
}

fn died(process: Process, status: ExitStatus, log: &std::path::Path, tail: &[String]) -> String {
    let remedy = if status.code() == Some(64) {
        "A setting cannot be used: its name is above"
    } else if status.code().is_none() {
        "Nothing in the stack does that; `dmesg` tells whether the kernel did, for want of memory"
    } else if process.is_service() {
        "RUST_LOG=debug makes it say more"
    } else {
        "If it is the configuration, `make validate` checks it"
    };
    let log = log.display();
    format!("{process} ended by itself: {}. Its log {log} ends:{}\n{remedy}.", describe(status), quoted(tail))
}

fn quoted(tail: &[String]) -> String {
    if tail.is_empty() {
        return " (it is empty)".to_owned();
    }
    let mut text = String::new();
    for line in tail {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  | {line}");
    }
    text
}

/// How a process ended, in words.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(9)) => "killed (SIGKILL)".to_owned(),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "status unknown".to_owned(),
    }
}
