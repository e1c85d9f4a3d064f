//! The description of the stack: the services from a services file such as `sightline.toml`, and the pipeline from
//! `pipeline.toml`, which is part of this program. Both files have the same form.
//!
//! Ports, certificates, environment variables, health checks and the order of stopping are derived from the
//! description, so no other code lists the processes.

mod check;
mod error;
mod graph;
mod raw;
mod read;
mod template;
mod workspace;

use std::path::{Path, PathBuf};

use super::ports::{Port, Ports};
use super::process::Process;
use crate::gateway::Additions;

pub use self::error::{Problem, SpecError};
pub(super) use self::template::{Form, Placeholder, Setting, Template};

/// The name of the services file in the root directory of a repository.
pub const FILE_NAME: &str = "sightline.toml";

/// The process of the pipeline to which every service sends its telemetry.
pub const AGENT: &str = "agent";

/// The process of the pipeline that sees whole traces.
pub const GATEWAY: &str = "gateway";

/// The process of the pipeline that stores traces, and that receives all signals for the stores.
pub const JAEGER: &str = "jaeger";

/// The process of the pipeline that stores metrics.
pub const VICTORIA_METRICS: &str = "victoria-metrics";

/// The process of the pipeline that stores log records.
pub const VICTORIA_LOGS: &str = "victoria-logs";

/// The process of the pipeline through which a browser reaches the pages of Jaeger and the stores.
pub const VMAUTH: &str = "vmauth";

/// The process of the pipeline that evaluates the alerts. It is optional.
pub const VMALERT: &str = "vmalert";

/// The name of the admin port of a service.
pub const ADMIN: &str = "admin";

/// The variables that `up` derives from other keys of a service, with these keys. A services file cannot set them,
/// because two places would then say the same.
pub(super) const DERIVED_VARIABLES: [(&str, &str); 4] = [
    (SERVICE_NAME, "the name of the table"),
    (HTTP_ADDRESS, "`port`"),
    (GRPC_ADDRESS, "`port`"),
    (ADMIN_PORT, "`admin-port`"),
];
pub(super) const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
pub(super) const HTTP_ADDRESS: &str = "SIGHTLINE_HTTP_ADDRESS";
pub(super) const GRPC_ADDRESS: &str = "SIGHTLINE_GRPC_ADDRESS";
pub(super) const ADMIN_PORT: &str = "OTEL_EXPORTER_PROMETHEUS_PORT";

/// The description of a stack.
#[derive(Debug, Clone)]
pub struct StackSpec {
    /// The processes of the pipeline and the services, each group in the order of its file.
    processes: Vec<ProcessSpec>,
    /// The variables of every service.
    service_env: Vec<(String, Template)>,
    /// Additions to the configuration of the gateway.
    gateway: Additions,
    /// The services file, or `None` if there is none.
    file: Option<PathBuf>,
}

/// The description of one process.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// The name.
    pub name: Process,
    /// The protocol of the service's server. `None` for the processes of the pipeline.
    pub protocol: Option<Protocol>,
    /// The program. `None` for a service that is started by hand.
    pub program: Option<Program>,
    /// The services that this service calls, or the next hop of a process of the pipeline.
    pub calls: Vec<Process>,
    /// The path of a GET request that makes the service call all services in [`calls`](Self::calls).
    pub try_path: Option<String>,
    /// The ports, with their default numbers.
    pub ports: Vec<Port>,
    /// Whether the process runs only if it is selected: see [`StackConfig::with_alerts`](super::StackConfig::with_alerts).
    pub optional: bool,
    pub(super) arguments: Vec<Template>,
    pub(super) env: Vec<(String, Template)>,
    pub(super) health: Health,
    /// The line of the program in the services file.
    pub(super) line: usize,
}

/// The protocol of a service's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP
    Http,
    /// gRPC
    Grpc,
    /// No server: the service consumes a queue, for example.
    Worker,
}

/// The program of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The program of a Cargo package with the same name.
    Package(String),
    /// A file. `build` is the command that builds it, if known.
    File {
        /// The path, which is absolute if the path of the services file is absolute.
        path: PathBuf,
        /// The command.
        build: Option<String>,
    },
    /// A program in `bin/` that `make` builds.
    Tool(String),
}

/// How to find out whether a process is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// A GET request to the path on the named port succeeds.
    Get { port: String, path: String },
    /// The named port accepts connections.
    Connect { port: String },
    /// The process is running.
    Running,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 3] = [Self::Http, Self::Grpc, Self::Worker];

    /// Returns the name of the protocol in a services file. It is also the name of the service's port.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Worker => "worker",
        }
    }
}

impl ProcessSpec {
    /// Whether this is a service, and not a process of the pipeline.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.protocol.is_some()
    }

    /// Returns the name of the port on which the service serves its callers. `None` for a worker and for the processes
    /// of the pipeline.
    #[must_use]
    pub fn server_port(&self) -> Option<&'static str> {
        match self.protocol {
            Some(protocol @ (Protocol::Http | Protocol::Grpc)) => Some(protocol.name()),
            Some(Protocol::Worker) | None => None,
        }
    }

    /// Whether an environment variable of the process contains this placeholder.
    fn refers_to(&self, placeholder: &Placeholder) -> bool {
        self.env.iter().flat_map(|(_, template)| template.placeholders()).any(|each| each == placeholder)
    }

    fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.name == name)
    }

    /// Whether the service has an admin port.
    #[must_use]
    pub fn has_admin_port(&self) -> bool {
        self.is_service() && self.port(ADMIN).is_some()
    }
}

impl StackSpec {
    /// Reads a services file. Fails if the file cannot be read, or lists all its mistakes.
    pub fn load(path: &Path) -> Result<Self, SpecError> {
        let source = std::fs::read_to_string(path)
            .map_err(|source| SpecError::Read { path: path.to_owned(), source })?;
        Self::parse(&source, path)
    }

    /// Parses the text of a services file. Error messages contain `path`, and the paths in the file are relative to the
    /// directory of `path`.
    pub fn parse(source: &str, path: &Path) -> Result<Self, SpecError> {
        let mut spec = Self::pipeline_only()?;
        let found = read::read(source, path, read::Kind::Services, &spec.processes)?;
        spec.processes.extend(found.processes);
        spec.gateway = found.gateway;
        spec.file = Some(path.to_owned());
        Ok(spec)
    }

    /// Returns the description of a stack without services.
    pub fn pipeline_only() -> Result<Self, SpecError> {
        let path = Path::new("tools/sightline/src/stack/spec/pipeline.toml");
        let found = read::read(include_str!("pipeline.toml"), path, read::Kind::Pipeline, &[])?;
        Ok(Self {
            processes: found.processes,
            service_env: found.service_env,
            gateway: found.gateway,
            file: None,
        })
    }

    /// Adds a service that is started by hand, so that it has a certificate and an environment. Does
    /// nothing if the file describes a service with this name. Fails if the name cannot be used.
    pub fn add_manual(&mut self, name: &str) -> Result<(), SpecError> {
        if self.services().any(|service| service.name == name) {
            return Ok(());
        }
        read::check_name(name, &self.processes)
            .map_err(|problem| SpecError::Name(name.to_owned(), problem))?;
        self.processes.push(ProcessSpec {
            name: Process::from(name),
            protocol: Some(Protocol::Worker),
            program: None,
            calls: Vec::new(),
            try_path: None,
            ports: Vec::new(),
            optional: false,
            arguments: Vec::new(),
            env: Vec::new(),
            health: Health::Running,
            line: 0,
        });
        Ok(())
    }

    /// Returns all processes: the pipeline in the order in which it starts, then the services in the order of their
    /// file.
    #[must_use]
    pub fn processes(&self) -> &[ProcessSpec] {
        &self.processes
    }

    /// Returns the services in the order of their file.
    pub fn services(&self) -> impl Iterator<Item = &ProcessSpec> {
        self.processes.iter().filter(|process| process.is_service())
    }

    /// Returns the processes of the pipeline in the order in which they start: the backend, the gateway, the agent.
    pub fn pipeline(&self) -> impl Iterator<Item = &ProcessSpec> {
        self.processes.iter().filter(|process| !process.is_service())
    }

    /// Returns the description of a process, or `None` if no process has this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ProcessSpec> {
        self.processes.iter().find(|process| process.name == name)
    }

    /// Returns the services file, or `None` if there is none.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the directory of the services file, or `None` if there is none.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        let parent = self.file.as_deref().and_then(Path::parent)?;
        // The parent of a file name without a directory is empty, which no function accepts as a path.
        Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
    }

    /// Returns the additions to the configuration of the gateway.
    #[must_use]
    pub fn gateway(&self) -> &Additions {
        &self.gateway
    }

    /// Returns all ports with their default numbers.
    #[must_use]
    pub fn ports(&self) -> Ports {
        Ports::new(self.processes.iter().flat_map(|process| process.ports.clone()).collect())
    }

    /// Returns the names that need a certificate: each service, and the processes of the pipeline that use one.
    #[must_use]
    pub fn identities(&self) -> Vec<String> {
        let has_certificate =
            |process: &&ProcessSpec| process.is_service() || process.refers_to(&Placeholder::Certs);
        self.processes.iter().filter(has_certificate).map(|process| process.name.to_string()).collect()
    }

    /// Returns the Cargo packages of the services, each once.
    #[must_use]
    pub fn packages(&self) -> Vec<&str> {
        let mut packages = Vec::new();
        for service in self.services() {
            if let Some(Program::Package(package)) = &service.program
                && !packages.contains(&package.as_str())
            {
                packages.push(package);
            }
        }
        packages
    }

    /// Returns the stages in which the processes are stopped. All processes that call a process are in earlier stages
    /// than the process, so that no call fails and no telemetry is lost.
    #[must_use]
    pub fn stages(&self) -> Vec<Vec<Process>> {
        graph::stages(&self.processes)
    }

    /// Replaces each package by the file that Cargo builds from it in the workspace of the services file. Fails if Cargo
    /// cannot read the workspace, or if a package is not in it.
    pub fn resolve_packages(&mut self) -> Result<(), SpecError> {
        workspace::resolve(self)
    }

    pub(super) fn service_env(&self) -> &[(String, Template)] {
        &self.service_env
    }
}

#[cfg(test)]
mod tests;
