//! The configuration of a stack.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::binaries::Binaries;
use super::error::StackError;
use super::ports::Ports;
use super::process::Process;
use super::spec::{FILE_NAME, ProcessSpec, SpecError, StackSpec, VMALERT};
use super::ui::JaegerUi;
use crate::certs;

/// Where Jaeger stores traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Storage {
    /// In files in the state directory
    Badger,
    /// In memory, until Jaeger stops
    Memory,
}

impl Storage {
    /// Returns the name that `--storage` and the configuration files use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Badger => "badger",
            Self::Memory => "memory",
        }
    }
}

/// The configuration of a stack. [`StackConfig::for_checkout`] returns the configuration that `make up` uses. Change
/// its fields as needed.
#[derive(Debug, Clone)]
pub struct StackConfig {
    /// The description of the processes.
    pub spec: StackSpec,
    /// The state directory, for certificates, the agent's queue, traces, logs and databases. Created if it is missing.
    pub dir: PathBuf,
    /// The directory of the pipeline's configuration files, `collector-config`.
    pub pipeline: PathBuf,
    /// The programs.
    pub binaries: Binaries,
    /// The ports. The ports of processes that are not in [`processes`](Self::processes) are ignored.
    pub ports: Ports,
    /// The processes to run. [`StackConfig::new`] selects all that have a program and are not optional.
    pub processes: Vec<Process>,
    /// The directory of the certificates. `None` is `certs` in the state directory.
    pub certificates: Option<PathBuf>,
    /// Where Jaeger stores traces.
    pub storage: Storage,
    /// The UI that Jaeger serves.
    pub jaeger_ui: JaegerUi,
    /// The percentage of ordinary traces that the gateway keeps. The gateway always keeps slow and failed traces.
    pub sampling_percentage: u8,
    /// The gateway keeps every trace that takes at least this long. Fractions of a millisecond are ignored.
    pub slow: Duration,
    /// How long the gateway waits for the spans of a trace before it decides whether to keep the trace. Fractions
    /// of a second are ignored. Must be longer than [`span_delay`](Self::span_delay).
    pub decision_wait: Duration,
    /// The maximum time that a service waits for a batch of spans to fill (`OTEL_BSP_SCHEDULE_DELAY`).
    pub span_delay: Duration,
    /// The time between two exports of metrics (`OTEL_METRIC_EXPORT_INTERVAL`).
    pub metric_interval: Duration,
    /// Files with rules that are evaluated in addition to those in `deploy/alerts`. The paths are absolute, and contain no
    /// comma. Only used after [`StackConfig::with_alerts`].
    pub rules: Vec<PathBuf>,
    /// The base URL of an Alertmanager that gets the alerts. `None` means that nobody is notified. Only used after
    /// [`StackConfig::with_alerts`].
    pub notifier: Option<Url>,
    /// Additional environment variables for each process. They override all other variables of the same name.
    pub environment: BTreeMap<Process, BTreeMap<String, String>>,
    /// The maximum time for the processes to become healthy.
    pub ready_timeout: Duration,
    /// The maximum time for all processes together to stop. After this time, the remaining processes are killed.
    pub stop_timeout: Duration,
    /// The lifetime of new certificates.
    pub certificate_lifetime: time::Duration,
}

impl StackConfig {
    /// Returns the configuration of the whole stack for the checkout at `root`, whose services are in `sightline.toml`,
    /// with its state in `dir` and the programs of the services in `services`. Fails if `sightline.toml` has mistakes.
    pub fn for_checkout(root: &Path, dir: impl Into<PathBuf>, services: &Path) -> Result<Self, SpecError> {
        Ok(Self::new(StackSpec::load(&root.join(FILE_NAME))?, root, dir, services))
    }

    /// Returns the configuration of the stack that `spec` describes, with the pipeline of the checkout at `root`, the
    /// state in `dir` and the programs of the services' packages in `services`. The gateway keeps all traces. Delays are
    /// short, so traces arrive in Jaeger quickly.
    #[must_use]
    pub fn new(spec: StackSpec, root: &Path, dir: impl Into<PathBuf>, services: &Path) -> Self {
        let with_program =
            spec.processes().iter().filter(|process| process.program.is_some() && !process.optional);
        Self {
            dir: dir.into(),
            pipeline: root.join("collector-config"),
            binaries: Binaries::for_checkout(root, services).with_environment(&spec),
            ports: spec.ports(),
            processes: with_program.map(|process| process.name.clone()).collect(),
            certificates: None,
            spec,
            storage: Storage::Badger,
            jaeger_ui: JaegerUi::for_checkout(root),
            sampling_percentage: 100,
            slow: Duration::from_millis(500),
            decision_wait: Duration::from_secs(2),
            span_delay: Duration::from_millis(500),
            metric_interval: Duration::from_secs(5),
            rules: Vec::new(),
            notifier: None,
            environment: BTreeMap::new(),
            ready_timeout: Duration::from_mins(1),
            stop_timeout: Duration::from_secs(10),
            certificate_lifetime: certs::LEAF_LIFETIME,
        }
    }

    /// Selects vmalert, which evaluates the rules in `deploy/alerts` while the stack runs.
    #[must_use]
    pub fn with_alerts(mut self) -> Self {
        if !self.evaluates_alerts() {
            self.processes.push(VMALERT.into());
        }
        self
    }

    /// Whether alerts are evaluated.
    #[must_use]
    pub fn evaluates_alerts(&self) -> bool {
        self.processes.iter().any(|process| *process == VMALERT)
    }

    /// Adds an environment variable for one process. [`Stack::spawn`](super::Stack::spawn) fails if no process has this
    /// name.
    #[must_use]
    pub fn with(mut self, process: &str, name: &str, value: impl Into<String>) -> Self {
        self.environment.entry(process.into()).or_default().insert(name.to_owned(), value.into());
        self
    }

    /// Returns the description of a process. Fails if no process has this name.
    pub(super) fn process(&self, name: &str) -> Result<&ProcessSpec, StackError> {
        self.spec.get(name).ok_or_else(|| {
            let known = self.spec.processes().iter().map(|process| process.name.name());
            StackError::UnknownProcess { name: name.to_owned(), known: known.collect::<Vec<_>>().join(", ") }
        })
    }
}
