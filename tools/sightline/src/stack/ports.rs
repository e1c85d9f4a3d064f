//! The ports of the stack: their numbers, the environment variables that change them, and a check that they are free.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

use super::process::Process;
use super::spec::{ADMIN, Protocol};

/// The ports of the stack. The processes listen on loopback only.
///
/// [`StackSpec::ports`](super::StackSpec::ports) returns the ports with their default numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(Vec<Port>);

/// One port of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The port number.
    pub number: u16,
    /// The process that listens on the port.
    pub process: Process,
    /// The name of the port: `http`, `grpc` or `admin` for a port of a service, and the name in `pipeline.toml` for a
    /// port of the pipeline.
    pub name: String,
    /// What the port is for, such as "the agent's health check".
    pub description: String,
    /// The environment variable that changes the number.
    pub variable: String,
}

/// An error of [`Ports`].
#[derive(Debug, Error)]
pub enum PortError {
    /// The value of an environment variable is not a valid port.
    #[error("{variable}={value:?} is not a port: use a number from 1 to 65535")]
    Invalid {
        /// The name of the variable.
        variable: String,
        /// The value of the variable.
        value: String,
    },
    /// There is no free port.
    #[error("there is no free port from {} to {}", CANDIDATES.start, CANDIDATES.end - 1)]
    NoneFree(#[source] io::Error),
    /// No process has a port of this name.
    #[error("there is no port {name:?} of {process:?} in this stack; there are: {known}")]
    Unknown {
        /// The name of the process.
        process: String,
        /// The name of the port.
        name: String,
        /// The ports of the process, or all processes if the process does not exist.
        known: String,
    },
    /// The stack has no service of this name with a server.
    #[error("{0} is not a service with a server in this stack, so it has no address")]
    NoServer(String),
}

/// The range from which [`Ports::free`] chooses: above most well-known ports, and below the ports that Linux uses for
/// outgoing connections.
const CANDIDATES: std::ops::Range<u16> = 10_000..32_768;

/// Listens on a port that this process has not used before. Ports repeat only after all [`CANDIDATES`] were used.
///
/// The ports are consecutive rather than random, because a stack closes these listeners before its processes open the
/// ports again. In the time between, another stack could get the same ports. If six stacks started at the same time
/// with random ports, then in one of ten such starts, two of the stacks would get the same port. Only the first port is
/// random, so that several programs do not start with the same port.
fn listen_on_next_port() -> io::Result<TcpListener> {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
        // `RandomState` is the only source of randomness in the standard library. The value
        // is halved so that the counter cannot overflow.
        AtomicU64::new(RandomState::new().hash_one(0) / 2)
    });
    let width = u64::from(CANDIDATES.end - CANDIDATES.start);
    let mut last_error = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in CANDIDATES {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % width;
        let port = CANDIDATES.start + u16::try_from(offset).unwrap_or(0);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

impl Ports {
    pub(super) fn new(ports: Vec<Port>) -> Self {
        Self(ports)
    }

    /// Returns all ports with their descriptions.
    #[must_use]
    pub fn all(&self) -> &[Port] {
        &self.0
    }

    /// Returns the number of a port, such as the port `http` of `order-service`. Fails if there is no such port.
    pub fn number(&self, process: &str, name: &str) -> Result<u16, PortError> {
        let found = self.0.iter().find(|port| port.process == process && port.name == name);
        found.map(|port| port.number).ok_or_else(|| {
            let (process, name) = (process.to_owned(), name.to_owned());
            let mut known: Vec<&str> = self
                .0
                .iter()
                .filter(|port| port.process == *process)
                .map(|port| port.name.as_str())
                .collect();
            if known.is_empty() {
                known = self.0.iter().map(|port| port.process.name()).collect();
                known.dedup();
            }
            let known = known.join(", ");
            PortError::Unknown { process, name, known }
        })
    }

    /// Returns the port of a service's server. Fails if there is no such service, or if it is a worker.
    pub fn server(&self, service: &str) -> Result<u16, PortError> {
        let names = [Protocol::Http, Protocol::Grpc].map(Protocol::name);
        let found = self.0.iter().find(|port| port.process == service && names.contains(&port.name.as_str()));
        found.map(|port| port.number).ok_or_else(|| PortError::NoServer(service.to_owned()))
    }

    /// Returns the admin port of a service. Fails if there is no such service, or if it has no admin port.
    pub fn admin(&self, service: &str) -> Result<u16, PortError> {
        self.number(service, ADMIN)
    }

    /// Sets the number of a port. Fails if there is no such port.
    pub fn set(&mut self, process: &str, name: &str, number: u16) -> Result<(), PortError> {
        self.number(process, name)?;
        for port in self.0.iter_mut().filter(|port| port.process == process && port.name == name) {
            port.number = number;
        }
        Ok(())
    }

    /// Changes the ports as the environment variables in [`Port::variable`] say. An empty variable counts as unset.
    /// Fails on a value that is not a port.
    pub fn with_env(mut self, get: impl Fn(&str) -> Option<String>) -> Result<Self, PortError> {
        for port in &mut self.0 {
            let Some(value) = get(&port.variable).filter(|value| !value.is_empty()) else { continue };
            port.number = match value.trim().parse() {
                Ok(number) if number > 0 => number,
                _ => return Err(PortError::Invalid { variable: port.variable.clone(), value }),
            };
        }
        Ok(self)
    }

    /// Changes all ports to numbers that are different and free at the moment. Fails if there are not enough free
    /// ports.
    pub fn free(self) -> Result<Self, PortError> {
        self.free_for(|_| true)
    }

    /// Like [`free`](Self::free), but changes only the ports of the processes for which `change` returns true.
    ///
    /// Each port stays open until the last port is found, so no port is returned twice. This function does not use port
    /// 0, with which the system chooses a free port. The system would choose from the range that it also uses for
    /// outgoing connections. An outgoing connection could then take a port before the process listens on it.
    pub fn free_for(mut self, change: impl Fn(&Process) -> bool) -> Result<Self, PortError> {
        let mut listeners = Vec::new();
        for port in self.0.iter_mut().filter(|port| change(&port.process)) {
            let listener = listen_on_next_port().map_err(PortError::NoneFree)?;
            port.number = listener.local_addr().map_err(PortError::NoneFree)?.port();
            listeners.push(listener);
        }
        Ok(self)
    }
}

/// Returns one port that is free at the moment, for a program outside the stack. Fails if there is no free port.
pub fn free_port() -> Result<u16, PortError> {
    let listener = listen_on_next_port().map_err(PortError::NoneFree)?;
    Ok(listener.local_addr().map_err(PortError::NoneFree)?.port())
}

/// A port on which a process cannot listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusablePort {
    /// The port.
    pub port: Port,
    /// The reason.
    pub problem: PortProblem,
}

/// The reason why a process cannot listen on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortProblem {
    /// A process is already listening on the port. Contains that process if it is known.
    InUse(Option<ListeningProcess>),
    /// Another port of the stack has the same number.
    Duplicate(Port),
    /// The system does not allow listening on the port, for example because it is below 1024 and the user lacks the
    /// necessary privilege. Contains the system's message.
    NotAllowed(String),
}

/// The process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListeningProcess {
    /// The process id.
    pub pid: u32,
    /// The file name of its program.
    pub name: String,
}

impl fmt::Display for UnusablePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Port { number, description, variable, .. } = &self.port;
        match &self.problem {
            PortProblem::InUse(Some(ListeningProcess { pid, name })) => {
                write!(
                    f,
                    "port {number} ({description}) is in use by {name} (pid {pid}): stop it, or set {variable}"
                )
            }
            PortProblem::InUse(None) => {
                write!(
                    f,
                    "port {number} ({description}) is in use: stop the process that listens on it, or set {variable}"
                )
            }
            PortProblem::Duplicate(other) => {
                write!(
                    f,
                    "port {number} is used for both {description} and {}: change {variable}",
                    other.description
                )
            }
            PortProblem::NotAllowed(message) => {
                write!(f, "port {number} ({description}) cannot be used ({message}): set {variable}")
            }
        }
    }
}

/// Returns the ports on which a process cannot listen now.
pub(super) fn find_unusable(ports: &[Port]) -> Vec<UnusablePort> {
    let mut seen: HashMap<u16, &Port> = HashMap::new();
    let mut unusable = Vec::new();
    for port in ports {
        if let Some(&other) = seen.get(&port.number) {
            unusable
                .push(UnusablePort { port: port.clone(), problem: PortProblem::Duplicate(other.clone()) });
            continue;
        }
        seen.insert(port.number, port);
        let problem = match TcpListener::bind((Ipv4Addr::LOCALHOST, port.number)) {
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                PortProblem::InUse(super::procfs::listening_process(port.number))
            }
            Err(error) => PortProblem::NotAllowed(error.to_string()),
        };
        unusable.push(UnusablePort { port: port.clone(), problem });
    }
    unusable
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::tests::example;
    use super::*;

    #[test]
    fn the_pipeline_has_its_well_known_ports() {
        let ports = example().ports();
        let number = |process, name| ports.number(process, name).unwrap();
        assert_eq!((number("agent", "otlp-grpc"), number("agent", "otlp-http")), (4317, 4318));
        assert_eq!((number("agent", "health"), number("gateway", "otlp")), (13133, 14317));
        assert_eq!((number("jaeger", "otlp"), number("vmauth", "pages")), (24317, 16686));
        let numbers: HashSet<_> = ports.all().iter().map(|port| port.number).collect();
        assert_eq!(numbers.len(), ports.all().len());
        let variable = |process: &str, name: &str| {
            let port = ports.all().iter().find(|port| port.process == process && port.name == name);
            port.unwrap().variable.clone()
        };
        assert_eq!(variable("vmauth", "pages"), "SIGHTLINE_VMAUTH_PAGES_PORT");
        assert_eq!(variable("gateway", "span-metrics"), "SIGHTLINE_GATEWAY_SPAN_METRICS_PORT");
        assert_eq!(variable("agent", "otlp-grpc"), "SIGHTLINE_AGENT_OTLP_GRPC_PORT");
        assert_eq!(variable("front-service", "http"), "SIGHTLINE_FRONT_HTTP_PORT");
        assert_eq!(variable("back-end", "grpc"), "SIGHTLINE_BACK_END_GRPC_PORT");
        assert_eq!(variable("back-end", "admin"), "SIGHTLINE_BACK_END_ADMIN_PORT");
    }

    #[test]
    fn an_unknown_port_is_an_error() {
        let ports = example().ports();
        let error = ports.number("agent", "otlp").unwrap_err().to_string();
        assert!(error.contains("otlp-grpc, otlp-http, health, metrics"), "{error}");
        let error = ports.number("order-service", "http").unwrap_err().to_string();
        assert!(
            error.contains("jaeger, vmauth, vmalert, gateway, agent, front-service, back-end, job"),
            "{error}"
        );
    }

    #[test]
    fn an_environment_variable_changes_one_port() {
        let get = |name: &str| (name == "SIGHTLINE_FRONT_HTTP_PORT").then(|| "9000".to_owned());
        let standard = example().ports();
        let ports = standard.clone().with_env(get).unwrap();
        let mut expected = standard.clone();
        expected.set("front-service", "http", 9000).unwrap();
        assert_eq!(ports, expected);
        for bad in ["0", "65536", "http", "-1"] {
            let error = standard.clone().with_env(|_| Some(bad.to_owned())).unwrap_err();
            assert!(error.to_string().contains("SIGHTLINE_VICTORIA_METRICS_HTTP_PORT"), "{error}");
        }
    }

    #[test]
    fn free_ports_are_free_and_different() {
        let ports = example().ports().free().unwrap();
        assert_eq!(find_unusable(ports.all()), []);
        let standard = example().ports();
        let changed = standard.clone().free_for(|process| process == "job").unwrap();
        let differ = standard.all().iter().zip(changed.all()).filter(|(before, after)| before != after);
        assert_eq!(differ.map(|(port, _)| port.process.name()).collect::<Vec<_>>(), ["job"]);
    }

    #[test]
    fn reports_a_port_in_use_with_its_process_and_variable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let mut ports = example().ports().free().unwrap();
        ports.set("front-service", "http", number).unwrap();
        let found = find_unusable(ports.all());
        assert_eq!(found.len(), 1);
        let text = found[0].to_string();
        assert!(text.starts_with(&format!("port {number} (front-service's HTTP API) is in use")), "{text}");
        assert!(text.ends_with("or set SIGHTLINE_FRONT_HTTP_PORT"), "{text}");
        #[cfg(target_os = "linux")]
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
    }

    #[test]
    fn reports_a_duplicate_port() {
        let mut ports = example().ports().free().unwrap();
        ports.set("front-service", "http", ports.number("back-end", "grpc").unwrap()).unwrap();
        let found = find_unusable(ports.all());
        assert!(
            matches!(found.as_slice(), [UnusablePort { problem: PortProblem::Duplicate(_), .. }]),
            "{found:?}"
        );
    }
}
