//! What to run, and how.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::binaries::Binaries;
use super::ports::Ports;
use super::process::Process;
use crate::certs;

/// Where Jaeger keeps traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Storage {
    /// In files below the state's directory.
    Badger,
    /// In memory, gone at the end.
    Memory,
}

impl Storage {
    /// As `--storage` and the configuration's files name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Badger => "badger",
            Self::Memory => "memory",
        }
    }
}

/// Everything about a stack. [`StackConfig::of_checkout`] is what `make up` runs; change what should differ.
#[derive(Debug, Clone)]
pub struct StackConfig {
    /// The state's directory: certificates, queue, traces, logs, databases. Made if missing.
    pub dir: PathBuf,
    /// The directory of the pipeline's configuration files.
    pub pipeline: PathBuf,
    /// The programs.
    pub binaries: Binaries,
    /// The ports. Those of processes that do not run are not used.
    pub ports: Ports,
    /// Which processes run.
    pub processes: Vec<Process>,
    /// Where traces are kept.
    pub storage: Storage,
    /// Share of the traces neither slow nor failed that the gateway keeps, in percent.
    pub sampling_percentage: u8,
    /// From here on a trace is slow, and kept.
    pub slow: Duration,
    /// How long the gateway waits for the spans of a trace; whole seconds. Longer than
    /// [`span_delay`](Self::span_delay).
    pub decision_wait: Duration,
    /// How long a service waits for a batch of spans to fill.
    pub span_delay: Duration,
    /// How long a service waits between two exports of metrics.
    pub metric_interval: Duration,
    /// Further variables for a process; they win over all others.
    pub environment: BTreeMap<Process, BTreeMap<String, String>>,
    /// How long processes may take to become healthy.
    pub ready_within: Duration,
    /// Life of certificates made now.
    pub certificate_life: time::Duration,
}

impl StackConfig {
    /// The whole stack of the checkout at `root`, with state in `dir` and the services of the directory given: all
    /// traces kept, built-in faults on, and waits short enough to look on.
    #[must_use]
    pub fn of_checkout(root: &Path, dir: impl Into<PathBuf>, services: &Path) -> Self {
        Self {
            dir: dir.into(),
            pipeline: root.join("collector-config"),
            binaries: Binaries::of_checkout(root, services).with_environment(),
            ports: Ports::standard(),
            processes: Process::ALL.to_vec(),
            storage: Storage::Badger,
            sampling_percentage: 100,
            slow: Duration::from_millis(500),
            decision_wait: Duration::from_secs(2),
            span_delay: Duration::from_millis(500),
            metric_interval: Duration::from_secs(5),
            environment: BTreeMap::new(),
            ready_within: Duration::from_mins(1),
            certificate_life: certs::LEAF_LIFE,
        }
    }

    /// The same with a further variable for one process.
    #[must_use]
    pub fn with(mut self, process: Process, name: &str, value: impl Into<String>) -> Self {
        self.environment.entry(process).or_default().insert(name.to_owned(), value.into());
        self
    }
}
