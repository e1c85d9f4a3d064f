//! Runs the whole stack on this machine: backend, gateway, agent and services. `make up` and the end-to-end tests use
//! this module. [`StackSpec`] describes the processes.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::path::Path;
//! use sightline::stack::{Stack, StackConfig};
//!
//! let mut config = StackConfig::for_checkout(Path::new("."), "state", Path::new("target/release"))?;
//! config.ports = config.ports.free()?;
//! let mut stack = Stack::start(config).await?;
//! // … requests to stack.url("order-service")?, traces from stack.jaeger()? …
//! let exits = stack.stop().await;
//! # Ok(()) }
//! ```
//!
//! Each process has its own process group and writes to `logs/<name>.log` in the state directory. [`Stack::stop`] stops
//! the processes in an order that loses no telemetry. Dropping a [`Stack`] kills the processes that are still running.

mod binaries;
mod child;
mod config;
mod error;
pub mod parent_death;
mod plan;
mod ports;
mod prepare;
mod process;
mod procfs;
pub mod spec;
mod stop;
mod ui;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::child::Child;
use self::plan::{Check, Directories};
use self::prepare::StateLock;
use self::spec::Form;
use crate::certs::{Report, TlsFiles};
use crate::http;
use crate::jaeger::{Jaeger, JaegerError};

pub use self::binaries::Binaries;
pub use self::config::{StackConfig, Storage};
pub use self::error::{LogEnd, StackError, describe};
pub use self::ports::{ListeningProcess, Port, PortError, PortProblem, Ports, UnusablePort, free_port};
pub use self::process::Process;
pub use self::spec::{
    AGENT, GATEWAY, JAEGER, SpecError, StackSpec, VICTORIA_LOGS, VICTORIA_METRICS, VMALERT, VMAUTH,
};
pub use self::stop::Exit;
pub use self::ui::{JaegerUi, is_placeholder};

/// The time between two health checks of a process that is starting.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The time between two reports of the processes that are not healthy yet.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The progress of a stack that is starting. Durations are measured from the start of the stack.
#[derive(Debug, Clone)]
pub enum Progress {
    /// This process is healthy.
    Healthy(Process, Duration),
    /// These processes are not healthy yet.
    Waiting(Vec<Process>, Duration),
}

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    config: StackConfig,
    directories: Directories,
    certificates: Report,
    /// The children in the order of the description, in which they are started.
    children: Vec<Child>,
    jaeger_ui: u16,
    pages: u16,
    http: reqwest::Client,
    started: Instant,
    /// Fields are dropped in their order, so the lock is released after the children have ended.
    _lock: StateLock,
}

impl Stack {
    /// Starts all processes and waits until they are healthy. After an error, no process is left running.
    pub async fn start(config: StackConfig) -> Result<Self, StackError> {
        let mut stack = Self::spawn(config)?;
        match stack.wait_until_ready(|_| {}).await {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    /// Starts all processes without waiting for them: call [`wait_until_ready`](Self::wait_until_ready) next.
    ///
    /// If a program, a port, Jaeger's UI or the state directory cannot be used, fails before it starts any process.
    pub fn spawn(config: StackConfig) -> Result<Self, StackError> {
        let started = Instant::now();
        let state = prepare::create_directories(&config.dir, &config.spec)?;
        let lock = prepare::lock(&state)?;
        let certs = match &config.certificates {
            Some(dir) => prepare::absolute(dir)?,
            None => state.join("certs"),
        };
        let (pipeline, ui) = prepare::check(&config)?;
        let root = prepare::absolute(config.spec.root().unwrap_or(Path::new(".")))?;
        let certificates = prepare::ensure_certificates(&config, &certs)?;
        let http = http::local_client().map_err(StackError::Client)?;
        let jaeger_ui = config.ports.number(JAEGER, "ui")?;
        let pages = config.ports.number(VMAUTH, "pages")?;
        let directories = Directories { state, certs, pipeline, ui, root };
        prepare::write_additions(&config, &directories)?;
        let children = Vec::new();
        let mut stack = Self {
            config,
            directories,
            certificates,
            children,
            jaeger_ui,
            pages,
            http,
            started,
            _lock: lock,
        };
        let is_selected = |process: &Process| stack.config.processes.contains(process);
        let names = stack.config.spec.processes().iter().map(|process| process.name.clone());
        for process in names.filter(is_selected).collect::<Vec<_>>() {
            stack.start_process(&process)?;
        }
        Ok(stack)
    }

    /// Starts one process that is not running, without waiting until it is healthy.
    pub fn start_process(&mut self, process: &str) -> Result<(), StackError> {
        let process = self.config.process(process)?;
        let program = self.config.binaries.check(process, self.config.spec.file())?;
        let plan = plan::plan(&self.config, process, &self.directories)?;
        let mut command =
            parent_death::command(self.config.binaries.sightline.as_deref(), &program, &plan.arguments);
        for (name, _) in std::env::vars_os().filter(|(name, _)| plan::is_not_inherited(name)) {
            command.env_remove(name);
        }
        command.envs(&plan.environment).current_dir(&self.directories.state);
        let name = process.name.clone();
        let child = Child::spawn(name.clone(), command, self.log_path(&name))
            .map_err(|source| StackError::Spawn { process: name, program, source })?;
        self.children.push(child);
        let spec = &self.config.spec;
        self.children
            .sort_by_key(|child| spec.processes().iter().position(|process| process.name == child.process));
        Ok(())
    }

    /// Returns the environment variables with which this stack starts a process. A service that is started by hand
    /// needs the same variables. Fails if no process has this name.
    pub fn environment(&self, process: &str) -> Result<BTreeMap<String, OsString>, StackError> {
        let process = self.config.process(process)?;
        Ok(plan::plan(&self.config, process, &self.directories)?.environment)
    }

    /// Waits until every process is healthy, and reports the progress to `progress`.
    ///
    /// Fails as soon as a process exits, if Jaeger has no UI, or after [`StackConfig::ready_timeout`]. A failure does not
    /// stop the processes that are running.
    pub async fn wait_until_ready(&self, mut progress: impl FnMut(Progress)) -> Result<(), StackError> {
        let began = Instant::now();
        let mut waiting: Vec<&Child> = self.children.iter().collect();
        let mut tick = interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_report = began;
        loop {
            tick.tick().await;
            if let Some(error) = self.first_exit() {
                return Err(error);
            }
            let mut still_waiting = Vec::new();
            let mut last = String::new();
            for child in waiting {
                match self.health(&child.process).await? {
                    Ok(()) => progress(Progress::Healthy(child.process.clone(), self.started.elapsed())),
                    Err(result) => {
                        if still_waiting.is_empty() {
                            last = result;
                        }
                        still_waiting.push(child);
                    }
                }
            }
            let Some(&first) = still_waiting.first() else { return Ok(()) };
            if began.elapsed() > self.config.ready_timeout {
                return Err(StackError::NotReady {
                    process: first.process.clone(),
                    waited: self.config.ready_timeout,
                    check: match plan::check(&self.config, self.config.process(&first.process)?)? {
                        Check::Get(text) | Check::Connect(text) => text,
                        Check::Running => "no health check".to_owned(),
                    },
                    last,
                    log: Box::new(first.log_end()),
                });
            }
            if last_report.elapsed() >= REPORT_INTERVAL {
                last_report = Instant::now();
                let processes = still_waiting.iter().map(|child| child.process.clone()).collect();
                progress(Progress::Waiting(processes, self.started.elapsed()));
            }
            waiting = still_waiting;
        }
    }

    /// Checks the health of a process. The inner error describes the response, or says why there was no response.
    async fn health(&self, process: &str) -> Result<Result<(), String>, StackError> {
        const TIMEOUT: Duration = Duration::from_secs(1);
        const NOT_LISTENING: &str = "nothing listens on this port yet";
        Ok(match plan::check(&self.config, self.config.process(process)?)? {
            Check::Get(url) => match self.http.get(url).timeout(TIMEOUT).send().await {
                Ok(response) if response.status().is_success() && process == JAEGER => {
                    self.serves_ui().await?
                }
                Ok(response) if response.status().is_success() => Ok(()),
                Ok(response) => Err(response.status().to_string()),
                Err(error) if error.is_connect() => Err(NOT_LISTENING.to_owned()),
                Err(error) => Err(error.without_url().to_string()),
            },
            Check::Connect(address) => match timeout(TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(NOT_LISTENING.to_owned()),
            },
            // `wait_until_ready` notices the exit of a process before it checks the health.
            Check::Running => Ok(()),
        })
    }

    /// Checks that Jaeger serves a UI. The inner error says why there was no response. Fails if Jaeger serves its
    /// placeholder page, which does not change until Jaeger is restarted.
    async fn serves_ui(&self) -> Result<Result<(), String>, StackError> {
        let url = self.jaeger_url();
        let page = async { self.http.get(&url).send().await?.error_for_status()?.text().await };
        Ok(match page.await {
            Ok(page) if is_placeholder(&page) => return Err(StackError::PlaceholderUi(url)),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the UI at {url} does not respond: {}", error.without_url())),
        })
    }

    /// Returns an error for the first process that has exited, if there is one.
    fn first_exit(&self) -> Option<StackError> {
        self.children.iter().find_map(|child| {
            child.exited().map(|status| StackError::Exited {
                process: child.process.clone(),
                is_service: self.config.spec.services().any(|service| service.name == child.process),
                status,
                log: Box::new(child.log_end()),
            })
        })
    }

    /// Waits until a process exits although this stack did not stop it. Returns [`StackError::Exited`].
    pub async fn wait_for_exit(&self) -> StackError {
        let mut tick = interval(POLL_INTERVAL * 4);
        loop {
            if let Some(error) = self.first_exit() {
                return error;
            }
            tick.tick().await;
        }
    }

    /// Stops all processes within ten seconds: the services in the order of [`StackSpec::stages`], then the agent, the
    /// gateway, Jaeger and the stores. A process is stopped only after all processes that send data to it have exited. Processes that
    /// are still running after [`StackConfig::stop_timeout`] are killed, and their [`Exit`] says so.
    pub async fn stop(&mut self) -> Vec<Exit> {
        let children = std::mem::take(&mut self.children);
        stop::stop(children, &self.config.spec.stages(), self.config.stop_timeout).await
    }

    /// Stops one process: sends SIGTERM, and SIGKILL if the process is still running after
    /// [`StackConfig::stop_timeout`]. Fails if the process is not running.
    pub async fn stop_process(&mut self, process: &str) -> Result<Exit, StackError> {
        let child = self.take(process)?;
        let mut exits = stop::stop(vec![child], &self.config.spec.stages(), self.config.stop_timeout).await;
        exits.pop().ok_or_else(|| StackError::NotRunning(process.into()))
    }

    /// Kills one process with SIGKILL, as if its node had failed. Fails if the process is not running.
    pub async fn kill_process(&mut self, process: &str) -> Result<Option<ExitStatus>, StackError> {
        let child = self.take(process)?;
        child.kill();
        Ok(child.wait().await)
    }

    /// Removes a running process from the children.
    fn take(&mut self, process: &str) -> Result<Child, StackError> {
        let index = self.children.iter().position(|child| child.process == process);
        let index = index.ok_or_else(|| StackError::NotRunning(process.into()))?;
        Ok(self.children.remove(index))
    }

    /// Renews the certificates that need renewal. Running processes reload their certificates.
    pub fn renew_certificates(&mut self) -> Result<&Report, StackError> {
        self.certificates = prepare::ensure_certificates(&self.config, &self.directories.certs)?;
        Ok(&self.certificates)
    }

    /// Returns the report of the last renewal. If there was no renewal, returns the report from the start of the stack.
    #[must_use]
    pub fn certificates(&self) -> &Report {
        &self.certificates
    }

    /// Returns the configuration of this stack.
    #[must_use]
    pub fn config(&self) -> &StackConfig {
        &self.config
    }

    /// Returns the ports of this stack.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.config.ports
    }

    /// Returns the absolute path of the state directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.directories.state
    }

    /// Returns the process id of a process, or `None` if it is not running.
    #[must_use]
    pub fn pid(&self, process: &str) -> Option<u32> {
        self.children.iter().find(|child| child.process == process).map(Child::pid)
    }

    /// Returns the log file of a process. The log of its previous run is `<name>.previous.log`.
    #[must_use]
    pub fn log_path(&self, process: &str) -> PathBuf {
        self.directories.state.join("logs").join(format!("{process}.log"))
    }

    /// Returns the directory of the certificates, which contains one directory for each process.
    #[must_use]
    pub fn certificates_dir(&self) -> &Path {
        &self.directories.certs
    }

    /// Returns the certificate files of a process.
    #[must_use]
    pub fn tls_files(&self, process: &str) -> TlsFiles {
        TlsFiles::in_dir(&self.directories.certs.join(process))
    }

    /// Returns the URL of a service's server, `http://127.0.0.1:PORT`. Fails if there is no such service, or if it is a
    /// worker.
    pub fn url(&self, service: &str) -> Result<String, PortError> {
        Ok(loopback_url(self.config.ports.server(service)?))
    }

    /// Returns the URL of Jaeger's own UI and API, `http://127.0.0.1:PORT`.
    fn jaeger_url(&self) -> String {
        loopback_url(self.jaeger_ui)
    }

    /// Returns the URL of the pages, `http://127.0.0.1:PORT`. Its root is Jaeger's UI.
    #[must_use]
    pub fn pages_url(&self) -> String {
        loopback_url(self.pages)
    }

    /// Returns a client for the Jaeger of this stack, which it reaches as a browser does. Fails if the HTTP client cannot
    /// be set up.
    pub fn jaeger(&self) -> Result<Jaeger, JaegerError> {
        Jaeger::local(self.pages)
    }
}

fn loopback_url(port: u16) -> String {
    Form::Url.of(plan::HOST, port)
}

#[cfg(test)]
mod tests;
