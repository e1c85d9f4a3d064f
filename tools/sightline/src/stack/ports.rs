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

/// Declares [`Ports`] from one table: field, default, environment variable, process and description of each port.
macro_rules! ports {
    ($($field:ident $default:literal $variable:literal $process:ident $description:literal)+) => {
        /// The ports of the stack. The processes listen on loopback only.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Ports {
            $(#[doc = concat!("Port of ", $description, ": ", $default, " by default, changed by `", $variable, "`.")]
            pub $field: u16,)+
        }

        impl Ports {
            /// Returns the default ports.
            #[must_use]
            pub const fn standard() -> Self {
                Self { $($field: $default),+ }
            }

            fn fill(mut next: impl FnMut(&'static str, u16) -> Result<u16, PortError>) -> Result<Self, PortError> {
                Ok(Self { $($field: next($variable, $default)?),+ })
            }

            /// Returns all ports with their descriptions.
            #[must_use]
            pub fn all(&self) -> Vec<Port> {
                vec![$(Port {
                    number: self.$field,
                    process: Process::$process,
                    description: $description,
                    variable: $variable,
                }),+]
            }
        }
    };
}

ports! {
    jaeger_ui            16686 "SIGHTLINE_JAEGER_UI_PORT"            Jaeger           "Jaeger's UI and API"
    jaeger_otlp          24317 "SIGHTLINE_JAEGER_OTLP_PORT"          Jaeger           "Jaeger's OTLP receiver"
    jaeger_health        24133 "SIGHTLINE_JAEGER_HEALTH_PORT"        Jaeger           "Jaeger's health check"
    jaeger_metrics       28888 "SIGHTLINE_JAEGER_METRICS_PORT"       Jaeger           "Jaeger's own metrics"
    gateway_otlp         14317 "SIGHTLINE_GATEWAY_OTLP_PORT"         Gateway          "the gateway's OTLP receiver"
    gateway_health       14133 "SIGHTLINE_GATEWAY_HEALTH_PORT"       Gateway          "the gateway's health check"
    gateway_metrics      18888 "SIGHTLINE_GATEWAY_METRICS_PORT"      Gateway          "the gateway's own metrics"
    gateway_span_metrics  8889 "SIGHTLINE_GATEWAY_SPAN_METRICS_PORT" Gateway          "the gateway's span metrics"
    agent_otlp_grpc       4317 "SIGHTLINE_AGENT_OTLP_GRPC_PORT"      Agent            "the agent's OTLP/gRPC receiver"
    agent_otlp_http       4318 "SIGHTLINE_AGENT_OTLP_HTTP_PORT"      Agent            "the agent's OTLP/HTTP receiver"
    agent_health         13133 "SIGHTLINE_AGENT_HEALTH_PORT"         Agent            "the agent's health check"
    agent_metrics         8888 "SIGHTLINE_AGENT_METRICS_PORT"        Agent            "the agent's own metrics"
    user_http             8080 "SIGHTLINE_USER_HTTP_PORT"            UserService      "user-service's HTTP API"
    user_admin            2112 "SIGHTLINE_USER_ADMIN_PORT"           UserService      "user-service's admin port"
    order_http            8081 "SIGHTLINE_ORDER_HTTP_PORT"           OrderService     "order-service's HTTP API"
    order_admin           2113 "SIGHTLINE_ORDER_ADMIN_PORT"          OrderService     "order-service's admin port"
    inventory_grpc        8082 "SIGHTLINE_INVENTORY_GRPC_PORT"       InventoryService "inventory-service's gRPC API"
    inventory_admin       2114 "SIGHTLINE_INVENTORY_ADMIN_PORT"      InventoryService "inventory-service's admin port"
}

/// One port of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// The port number.
    pub number: u16,
    /// The process that listens on the port.
    pub process: Process,
    /// What the port is for, such as "the agent's health check".
    pub description: &'static str,
    /// The environment variable that changes the number.
    pub variable: &'static str,
}

/// The error of [`Ports::from_env`] and [`Ports::free`].
#[derive(Debug, Error)]
pub enum PortError {
    /// The value of an environment variable is not a valid port.
    #[error("{variable}={value:?} is not a port: use a number from 1 to 65535")]
    Invalid {
        /// The name of the variable.
        variable: &'static str,
        /// The value of the variable.
        value: String,
    },
    /// There is no free port.
    #[error("there is no free port from {} to {}", CANDIDATES.start, CANDIDATES.end - 1)]
    NoneFree(#[source] io::Error),
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
    /// Returns the default ports, changed by the environment variables in [`Port::variable`]. An empty variable
    /// counts as unset. Fails on a value that is not a port.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self, PortError> {
        Self::fill(|variable, default| match get(variable).filter(|value| !value.is_empty()) {
            None => Ok(default),
            Some(value) => match value.trim().parse() {
                Ok(port) if port > 0 => Ok(port),
                _ => Err(PortError::Invalid { variable, value }),
            },
        })
    }

    /// Returns ports that are all different and free at the moment. Fails if there are not enough free ports.
    ///
    /// Each port stays open until the last port is found, so no port is returned twice. This function does not use port
    /// 0, with which the system chooses a free port. The system would choose from the range that it also uses for
    /// outgoing connections. An outgoing connection could then take a port before the process listens on it.
    pub fn free() -> Result<Self, PortError> {
        let mut listeners = Vec::new();
        Self::fill(|_, _| {
            let listener = listen_on_next_port().map_err(PortError::NoneFree)?;
            let port = listener.local_addr().map_err(PortError::NoneFree)?.port();
            listeners.push(listener);
            Ok(port)
        })
    }
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
        let Port { number, description, variable, .. } = self.port;
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
    let mut seen: HashMap<u16, Port> = HashMap::new();
    let mut unusable = Vec::new();
    for &port in ports {
        if let Some(&other) = seen.get(&port.number) {
            unusable.push(UnusablePort { port, problem: PortProblem::Duplicate(other) });
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
        unusable.push(UnusablePort { port, problem });
    }
    unusable
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn standard_ports_are_different_and_include_the_well_known_ones() {
        let ports = Ports::standard();
        assert_eq!((ports.user_http, ports.order_http, ports.inventory_grpc), (8080, 8081, 8082));
        assert_eq!((ports.agent_otlp_grpc, ports.agent_otlp_http, ports.agent_health), (4317, 4318, 13133));
        assert_eq!((ports.gateway_otlp, ports.jaeger_otlp, ports.jaeger_ui), (14317, 24317, 16686));
        let numbers: HashSet<_> = ports.all().iter().map(|port| port.number).collect();
        assert_eq!(numbers.len(), ports.all().len());
    }

    #[test]
    fn an_environment_variable_changes_one_port() {
        let get = |name: &str| (name == "SIGHTLINE_USER_HTTP_PORT").then(|| "9000".to_owned());
        let ports = Ports::from_env(get).unwrap();
        assert_eq!(ports, Ports { user_http: 9000, ..Ports::standard() });
        for bad in ["0", "65536", "http", "-1"] {
            let error = Ports::from_env(|_| Some(bad.to_owned())).unwrap_err();
            assert!(error.to_string().contains("SIGHTLINE_JAEGER_UI_PORT"), "{error}");
        }
    }

    #[test]
    fn free_ports_are_free_and_different() {
        let ports = Ports::free().unwrap();
        assert_eq!(find_unusable(&ports.all()), []);
    }

    #[test]
    fn reports_a_port_in_use_with_its_process_and_variable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let ports = Ports { order_http: number, ..Ports::free().unwrap() };
        let found = find_unusable(&ports.all());
        assert_eq!(found.len(), 1);
        let text = found[0].to_string();
        assert!(text.starts_with(&format!("port {number} (order-service's HTTP API) is in use")), "{text}");
        assert!(text.ends_with("or set SIGHTLINE_ORDER_HTTP_PORT"), "{text}");
        #[cfg(target_os = "linux")]
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
    }

    #[test]
    fn reports_a_duplicate_port() {
        let free = Ports::free().unwrap();
        let ports = Ports { user_http: free.order_http, ..free };
        let found = find_unusable(&ports.all());
        assert!(
            matches!(found.as_slice(), [UnusablePort { problem: PortProblem::Duplicate(_), .. }]),
            "{found:?}"
        );
    }
}
