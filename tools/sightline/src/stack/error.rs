//! The errors of the stack. A message says how to solve the problem if a solution is known.

use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

use super::ports::{PortError, UnusablePort};
use super::process::Process;
use crate::certs::CertsError;
use crate::gateway::AdditionsError;

/// An error of a [`Stack`](super::Stack).
#[derive(Debug, Error)]
pub enum StackError {
    /// The processes cannot listen on some of the ports. No process was started.
    #[error("{}", list(.0))]
    UnusablePorts(Vec<UnusablePort>),
    /// The ports could not be chosen.
    #[error(transparent)]
    Ports(#[from] PortError),
    /// A program is missing.
    #[error("the program of {process} is missing: there is no file {}. {remedy}", path.display())]
    MissingBinary {
        /// The process.
        process: Process,
        /// The path where the program was expected.
        path: PathBuf,
        /// What to do.
        remedy: String,
    },
    /// The process has no program, because it is started by hand.
    #[error("{0} has no program that the stack could start: it is started by hand")]
    NoProgram(Process),
    /// No process has this name.
    #[error("there is no process {name:?} in this stack; there are: {known}")]
    UnknownProcess {
        /// The name.
        name: String,
        /// The names of all processes.
        known: String,
    },
    /// The pipeline's configuration files are missing.
    #[error(
        "there is no pipeline configuration in {}: use the collector-config directory of a checkout",
        .0.display()
    )]
    MissingConfig(PathBuf),
    /// The directory with Jaeger's UI cannot be used. No process was started.
    #[error(
        "there is no Jaeger UI in {}: {problem}. Run `make bin/jaeger-ui`, or set JAEGER_UI to a directory that \
         contains a UI, or to `embedded` if the Jaeger program contains one",
        path.display()
    )]
    UnusableUi {
        /// The directory.
        path: PathBuf,
        /// Why it cannot be used.
        problem: String,
    },
    /// Jaeger has no UI, and serves a placeholder page instead.
    #[error(
        "the Jaeger program contains no UI, and serves a placeholder page at {0}: set JAEGER_UI to a directory that \
         contains a UI, or unset JAEGER_UI to use bin/jaeger-ui"
    )]
    PlaceholderUi(String),
    /// The state directory, or a file or directory in it, could not be created or used.
    #[error("cannot use {}", path.display())]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another stack uses the same state directory.
    #[error(
        "another stack{} already uses {}: stop it, or set --dir to a different directory",
        pid.as_ref().map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        dir.display()
    )]
    InUse {
        /// The state directory.
        dir: PathBuf,
        /// The process id of the other stack, if known.
        pid: Option<String>,
    },
    /// The additions to the gateway's configuration cannot be used.
    #[error("{}: {source}", file.display())]
    Additions {
        /// The services file.
        file: PathBuf,
        /// The cause.
        source: AdditionsError,
    },
    /// The certificates could not be created.
    #[error("cannot create or renew the certificates for mutual TLS")]
    Certs(#[from] CertsError),
    /// A process could not be started.
    #[error("cannot start {process} ({})", program.display())]
    Spawn {
        /// The process.
        process: Process,
        /// Its program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The HTTP client for health checks could not be set up.
    #[error("cannot set up the HTTP client for health checks")]
    Client(#[source] reqwest::Error),
    /// A process exited although the stack did not stop it.
    #[error("{}", exited(process, *is_service, *status, log))]
    Exited {
        /// The process.
        process: Process,
        /// Whether the process is a service, and not a process of the pipeline.
        is_service: bool,
        /// Its exit status.
        status: ExitStatus,
        /// The end of its log.
        log: Box<LogEnd>,
    },
    /// A process did not become healthy in time.
    #[error(
        "{process} is not healthy after {} s ({check}: {last}). {log}",
        waited.as_secs()
    )]
    NotReady {
        /// The process.
        process: Process,
        /// How long the stack waited for the process to become healthy.
        waited: Duration,
        /// The URL or the address of its health check.
        check: String,
        /// The result of the last health check.
        last: String,
        /// The end of its log.
        log: Box<LogEnd>,
    },
    /// The process is not running.
    #[error("{0} is not running in this stack")]
    NotRunning(Process),
}

/// Returns one line for each of the first three ports. If many ports are in use, another stack is probably running, and
/// a long list would not help.
fn list(ports: &[UnusablePort]) -> String {
    const SHOWN: usize = 3;
    let mut text = ports.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("\n");
    if ports.len() > SHOWN {
        let more = ports.len() - SHOWN;
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\nand {more} more. To run a second stack at the same time, use --free-ports and a different --dir"
        );
    }
    text
}

fn exited(process: &Process, is_service: bool, status: ExitStatus, log: &LogEnd) -> String {
    let remedy = if status.code() == Some(64) {
        "A setting has an invalid value: the log names the setting"
    } else if status.code().is_none() {
        "The stack did not send this signal. `dmesg` shows whether the kernel killed the process for lack of memory"
    } else if is_service {
        "Run it again with RUST_LOG=debug for a more detailed log"
    } else {
        "`make validate` checks the configuration of the pipeline"
    };
    format!("{process} ended unexpectedly: {}. {log}\n{remedy}.", describe(status))
}

/// The last lines of a process's log.
#[derive(Debug)]
pub struct LogEnd {
    /// The log file.
    pub path: PathBuf,
    /// The lines.
    pub lines: Vec<String>,
}

impl fmt::Display for LogEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The end of its log {}:", self.path.display())?;
        if self.lines.is_empty() {
            f.write_str(" (it is empty)")?;
        }
        self.lines.iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}

/// Describes how a process ended, such as "exit code 1".
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
