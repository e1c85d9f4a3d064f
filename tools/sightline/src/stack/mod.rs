//! The whole stack on this machine: Jaeger, gateway, agent and services, as `make up` and the end-to-end tests run it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::path::Path;
//! use sightline::stack::{Ports, Stack, StackConfig};
//!
//! let mut config = StackConfig::of_checkout(Path::new("."), "state", Path::new("target/release"));
//! config.ports = Ports::free()?;
//! let mut stack = Stack::start(config).await?;
//! // … requests to stack.order_url(), traces from stack.jaeger() …
//! let exits = stack.stop().await;
//! # Ok(()) }
//! ```
//!
//! Each process runs in a process group of its own, writes to `logs/<name>.log` and is watched from its start. A stack
//! that is dropped kills what still runs; [`Stack::stop`] stops it in order and loses nothing.

mod binaries;
mod child;
mod config;
mod error;
mod holder;
pub mod lifeline;
mod plan;
mod ports;
mod prepare;
mod process;
mod stop;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use self::child::Child;
use crate::certs::{Report, TlsFiles};
use crate::http;
use crate::jaeger::{Jaeger, JaegerError};

pub use self::binaries::Binaries;
pub use self::config::{StackConfig, Storage};
pub use self::error::{StackError, describe};
pub use self::ports::{Holder, Obstacle, Port, PortError, PortInUse, Ports};
pub use self::process::Process;
pub use self::stop::Exit;

/// All processes have ended within this.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How often health is asked for, and how often it is said who is waited for.
const POLL: Duration = Duration::from_millis(50);
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What happens while the stack starts.
#[derive(Debug, Clone)]
pub enum Progress {
    /// A process is healthy.
    Healthy(Process, Duration),
    /// These are not yet.
    Waiting(Vec<Process>, Duration),
}

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    config: StackConfig,
    dir: PathBuf,
    pipeline: PathBuf,
    certificates: Report,
    children: BTreeMap<Process, Child>,
    http: reqwest::Client,
    began: Instant,
    lock: File,
}

impl Stack {
    /// Starts everything and waits until it is healthy. On an error nothing is left running.
    pub async fn start(config: StackConfig) -> Result<Self, StackError> {
        let mut stack = Self::spawn(config)?;
        match stack.ready(|_| {}).await {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    /// Starts everything and waits for nothing; [`ready`](Self::ready) does. Fails before anything runs when a
    /// program, a port or the state's directory cannot be used.
    pub fn spawn(config: StackConfig) -> Result<Self, StackError> {
        let began = Instant::now();
        let dir = prepare::directories(&config.dir)?;
        let lock = prepare::lock(&dir)?;
        let pipeline = prepare::check(&config)?;
        let certificates = prepare::certificates(&config, &dir)?;
        let http = http::local_client().map_err(StackError::Client)?;
        let mut processes = config.processes.clone();
        processes.sort_unstable();
        let mut stack =
            Self { config, dir, pipeline, certificates, children: BTreeMap::new(), http, began, lock };
        for process in processes {
            stack.start_process(process)?;
        }
        Ok(stack)
    }

    /// Starts one process that does not run, or that has ended. Its health is [`ready`](Self::ready)'s to wait for.
    pub fn start_process(&mut self, process: Process) -> Result<(), StackError> {
        let program = self.config.binaries.check(process)?;
        let plan = plan::plan(&self.config, process, &self.dir, &self.pipeline);
        let mut command =
            lifeline::command(self.config.binaries.sightline.as_deref(), &program, &plan.arguments);
        for (name, _) in std::env::vars_os().filter(|(name, _)| plan::is_withheld(name)) {
            command.env_remove(name);
        }
        command.envs(&plan.environment).current_dir(&self.dir);
        let child = Child::spawn(process, command, self.log_path(process))
            .map_err(|source| StackError::Spawn { process, program, source })?;
        self.children.insert(process, child);
        Ok(())
    }

    /// Waits until every process is healthy, and tells `progress` on the way. Fails as soon as one ends, and when the
    /// time that the configuration gives is over; what runs goes on running.
    pub async fn ready(&self, mut progress: impl FnMut(Progress)) -> Result<(), StackError> {
        let began = Instant::now();
        let mut waiting: Vec<&Child> = self.children.values().collect();
        let mut tick = interval(POLL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = began;
        loop {
            tick.tick().await;
            if let Some(error) = self.ended() {
                return Err(error);
            }
            let mut still = Vec::new();
            let mut last = String::new();
            for child in waiting {
                match self.health(child.process).await {
                    Ok(()) => progress(Progress::Healthy(child.process, self.began.elapsed())),
                    Err(answer) => {
                        if still.is_empty() {
                            last = answer;
                        }
                        still.push(child);
                    }
                }
            }
            let Some(&first) = still.first() else { return Ok(()) };
            if began.elapsed() > self.config.ready_within {
                return Err(StackError::NotReady {
                    process: first.process,
                    waited: self.config.ready_within,
                    url: plan::health_url(&self.config, first.process),
                    last,
                    log: first.log.clone(),
                    tail: first.tail(),
                });
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                let names = still.iter().map(|child| child.process).collect();
                progress(Progress::Waiting(names, self.began.elapsed()));
            }
            waiting = still;
        }
    }

    /// Whether a process is healthy; if not, what it answered.
    async fn health(&self, process: Process) -> Result<(), String> {
        let url = plan::health_url(&self.config, process);
        match self.http.get(url).timeout(Duration::from_secs(1)).send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(answer.status().to_string()),
            Err(error) if error.is_connect() => Err("nothing listens there yet".to_owned()),
            Err(error) => Err(error.without_url().to_string()),
        }
    }

    /// The first process that has ended, as an error.
    fn ended(&self) -> Option<StackError> {
        self.children.values().find_map(|child| {
            child.exited().map(|status| StackError::Died {
                process: child.process,
                status,
                log: child.log.clone(),
                tail: child.tail(),
            })
        })
    }

    /// Waits until a process ends that nobody stopped, and says which and how.
    pub async fn died(&self) -> StackError {
        let mut tick = interval(POLL * 4);
        loop {
            if let Some(error) = self.ended() {
                return error;
            }
            tick.tick().await;
        }
    }

    /// Stops everything within ten seconds: services, then agent, gateway and Jaeger, each only when those who send
    /// to it have ended. What had not ended in time was killed, and says so.
    pub async fn stop(&mut self) -> Vec<Exit> {
        let children = std::mem::take(&mut self.children).into_values().collect();
        stop::stop(children, STOP_WITHIN).await
    }

    /// Stops one process, as a deployment would: SIGTERM, and ten seconds.
    pub async fn stop_process(&mut self, process: Process) -> Result<Exit, StackError> {
        let child = self.children.remove(&process).ok_or(StackError::NotRunning(process))?;
        let mut exits = stop::stop(vec![child], STOP_WITHIN).await;
        exits.pop().ok_or(StackError::NotRunning(process))
    }

    /// Kills one process, as a node that fails would.
    pub async fn kill_process(&mut self, process: Process) -> Result<Option<ExitStatus>, StackError> {
        let child = self.children.remove(&process).ok_or(StackError::NotRunning(process))?;
        child.kill();
        Ok(child.wait().await)
    }

    /// Renews the certificates that need it, for running processes to pick up.
    pub fn renew_certificates(&mut self) -> Result<&Report, StackError> {
        self.certificates = prepare::certificates(&self.config, &self.dir)?;
        Ok(&self.certificates)
    }

    /// What was found and done about certificates.
    #[must_use]
    pub fn certificates(&self) -> &Report {
        &self.certificates
    }

    /// What this stack was started with.
    #[must_use]
    pub fn config(&self) -> &StackConfig {
        &self.config
    }

    /// The ports in use.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.config.ports
    }

    /// The state's directory, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process id of a process that this stack runs.
    #[must_use]
    pub fn pid(&self, process: Process) -> Option<u32> {
        self.children.get(&process).map(Child::pid)
    }

    /// Where a process writes; the run before is in `<name>.previous.log`.
    #[must_use]
    pub fn log_path(&self, process: Process) -> PathBuf {
        self.dir.join("logs").join(format!("{process}.log"))
    }

    /// Where the gateway writes the log records it gets, a request in OTLP's JSON on each line.
    #[must_use]
    pub fn stored_logs(&self) -> PathBuf {
        self.dir.join("gateway/logs.json")
    }

    /// The certificate of a process.
    #[must_use]
    pub fn tls_files(&self, process: Process) -> TlsFiles {
        TlsFiles::of(&plan::tls_dir(&self.dir, process))
    }

    /// `http://127.0.0.1:PORT` of order-service.
    #[must_use]
    pub fn order_url(&self) -> String {
        local(self.config.ports.order_http)
    }

    /// `http://127.0.0.1:PORT` of user-service.
    #[must_use]
    pub fn user_url(&self) -> String {
        local(self.config.ports.user_http)
    }

    /// `http://127.0.0.1:PORT` of inventory-service, which speaks gRPC.
    #[must_use]
    pub fn inventory_url(&self) -> String {
        local(self.config.ports.inventory_grpc)
    }

    /// `http://127.0.0.1:PORT` of Jaeger's UI and API.
    #[must_use]
    pub fn jaeger_url(&self) -> String {
        local(self.config.ports.jaeger_ui)
    }

    /// A client of this stack's Jaeger. Fails where no HTTP client can be set up.
    pub fn jaeger(&self) -> Result<Jaeger, JaegerError> {
        Jaeger::local(self.config.ports.jaeger_ui)
    }
}

fn local(port: u16) -> String {
    format!("http://{}:{port}", plan::HOST)
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.children.clear();
        // Closing is not enough: a process that is being started this moment holds the file until it is.
        let _ = self.lock.unlock();
    }
}

#[cfg(test)]
mod tests;
