//! Which port is whose, how to change it, and who holds one that should be free.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

use super::process::Process;

/// Declares [`Ports`] and what is known of each port from one table.
macro_rules! ports {
    ($($field:ident $default:literal $variable:literal $process:ident $what:literal)+) => {
        /// The port of each listener of the stack, on loopback.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Ports {
            $(#[doc = concat!("Of ", $what, ", usually ", $default, "; `", $variable, "`.")] pub $field: u16,)+
        }

        impl Ports {
            /// Those that DESIGN and the documentation name.
            #[must_use]
            pub const fn standard() -> Self {
                Self { $($field: $default),+ }
            }

            fn fill(mut next: impl FnMut(&'static str, u16) -> Result<u16, PortError>) -> Result<Self, PortError> {
                Ok(Self { $($field: next($variable, $default)?),+ })
            }

            /// Every port with what is known of it.
            #[must_use]
            pub fn each(&self) -> Vec<Port> {
                vec![$(Port {
                    number: self.$field,
                    process: Process::$process,
                    what: $what,
                    variable: $variable,
                }),+]
            }
        }
    };
}

ports! {
    jaeger_ui            16686 "SIGHTLINE_JAEGER_UI_PORT"            Jaeger           "Jaeger's UI and API"
    jaeger_otlp          24317 "SIGHTLINE_JAEGER_OTLP_PORT"          Jaeger           "Jaeger's OTLP"
    jaeger_health        24133 "SIGHTLINE_JAEGER_HEALTH_PORT"        Jaeger           "Jaeger's health"
    jaeger_metrics       28888 "SIGHTLINE_JAEGER_METRICS_PORT"       Jaeger           "Jaeger's own metrics"
    gateway_otlp         14317 "SIGHTLINE_GATEWAY_OTLP_PORT"         Gateway          "the gateway's OTLP"
    gateway_health       14133 "SIGHTLINE_GATEWAY_HEALTH_PORT"       Gateway          "the gateway's health"
    gateway_metrics      18888 "SIGHTLINE_GATEWAY_METRICS_PORT"      Gateway          "the gateway's own metrics"
    gateway_span_metrics  8889 "SIGHTLINE_GATEWAY_SPAN_METRICS_PORT" Gateway          "the gateway's span metrics"
    agent_otlp_grpc       4317 "SIGHTLINE_AGENT_OTLP_GRPC_PORT"      Agent            "the agent's OTLP over gRPC"
    agent_otlp_http       4318 "SIGHTLINE_AGENT_OTLP_HTTP_PORT"      Agent            "the agent's OTLP over HTTP"
    agent_health         13133 "SIGHTLINE_AGENT_HEALTH_PORT"         Agent            "the agent's health"
    agent_metrics         8888 "SIGHTLINE_AGENT_METRICS_PORT"        Agent            "the agent's own metrics"
    user_http             8080 "SIGHTLINE_USER_HTTP_PORT"            UserService      "user-service's HTTP"
    user_admin            2112 "SIGHTLINE_USER_ADMIN_PORT"           UserService      "user-service's admin port"
    order_http            8081 "SIGHTLINE_ORDER_HTTP_PORT"           OrderService     "order-service's HTTP"
    order_admin           2113 "SIGHTLINE_ORDER_ADMIN_PORT"          OrderService     "order-service's admin port"
    inventory_grpc        8082 "SIGHTLINE_INVENTORY_GRPC_PORT"       InventoryService "inventory-service's gRPC"
    inventory_admin       2114 "SIGHTLINE_INVENTORY_ADMIN_PORT"      InventoryService "inventory-service's admin port"
}

/// One port and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Who listens.
    pub process: Process,
    /// What for.
    pub what: &'static str,
    /// The environment variable with which `sightline up` takes another.
    pub variable: &'static str,
}

/// Ports that cannot be used.
#[derive(Debug, Error)]
pub enum PortError {
    /// A variable that is no port.
    #[error("{variable}={value:?} is no port: use a number from 1 to 65535")]
    Unusable {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// The system gave no free port.
    #[error("no free port")]
    NoneFree(#[source] io::Error),
}

/// Below what Linux gives to outgoing connections, above what well-known services use.
const CANDIDATES: std::ops::Range<u16> = 10_000..32_768;

/// A listener on a port that this process was not given before, as long as there are such.
///
/// In a row and not at random: a stack's ports are let go before its processes listen on them, and of six stacks that
/// start at a time two would draw the same port once in ten runs. Each process begins the row somewhere else.
fn listen_anywhere() -> io::Result<TcpListener> {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
        // The standard library's one source of chance. Half of it, so that the row never overflows.
        AtomicU64::new(RandomState::new().hash_one(0) / 2)
    });
    let width = u64::from(CANDIDATES.end - CANDIDATES.start);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in CANDIDATES {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % width;
        let port = CANDIDATES.start + u16::try_from(offset).unwrap_or(0);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Ports {
    /// The standard ports, or those that the variables of [`Port::variable`] say. Fails on a value that is no port.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, PortError> {
        Self::fill(|variable, default| match get(variable).filter(|value| !value.is_empty()) {
            None => Ok(default),
            Some(value) => match value.trim().parse() {
                Ok(port) if port > 0 => Ok(port),
                _ => Err(PortError::Unusable { variable, value }),
            },
        })
    }

    /// Ports that nobody listens on now, all different. Fails when the system has none left.
    ///
    /// All are held until the last is found, so that none is given twice. They are not those the system would give:
    /// it gives the same to outgoing connections, and one of those may take a port before its process listens.
    pub fn free() -> Result<Self, PortError> {
        let mut held = Vec::new();
        Self::fill(|_, _| {
            let listener = listen_anywhere().map_err(PortError::NoneFree)?;
            let port = listener.local_addr().map_err(PortError::NoneFree)?.port();
            held.push(listener);
            Ok(port)
        })
    }
}

/// A port that cannot be listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortInUse {
    /// Which.
    pub port: Port,
    /// Why not.
    pub obstacle: Obstacle,
}

/// Why a port cannot be listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Someone listens already; who, where the system tells.
    Held(Option<Holder>),
    /// Another of our own listeners is to have it.
    Twice(Port),
    /// The system says no, as for a port below 1024 without the right.
    Refused(String),
}

/// The process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

impl fmt::Display for PortInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Port { number, what, variable, .. } = self.port;
        match &self.obstacle {
            Obstacle::Held(Some(Holder { pid, name })) => {
                write!(
                    f,
                    "port {number} ({what}) is in use by {name} (pid {pid}): stop it, or set {variable}"
                )
            }
            Obstacle::Held(None) => {
                write!(f, "port {number} ({what}) is in use: stop what listens there, or set {variable}")
            }
            Obstacle::Twice(other) => {
                write!(f, "port {number} is given to {what} and to {}: change {variable}", other.what)
            }
            Obstacle::Refused(why) => {
                write!(f, "port {number} ({what}) cannot be used ({why}): set {variable}")
            }
        }
    }
}

/// Those of these ports that cannot be listened on now.
pub(super) fn unusable(ports: &[Port]) -> Vec<PortInUse> {
    let mut seen: HashMap<u16, Port> = HashMap::new();
    let mut found = Vec::new();
    for &port in ports {
        if let Some(&other) = seen.get(&port.number) {
            found.push(PortInUse { port, obstacle: Obstacle::Twice(other) });
            continue;
        }
        seen.insert(port.number, port);
        let obstacle = match TcpListener::bind((Ipv4Addr::LOCALHOST, port.number)) {
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Obstacle::Held(super::holder::of_port(port.number))
            }
            Err(error) => Obstacle::Refused(error.to_string()),
        };
        found.push(PortInUse { port, obstacle });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn standard_ports_are_those_of_the_design() {
        let ports = Ports::standard();
        assert_eq!((ports.user_http, ports.order_http, ports.inventory_grpc), (8080, 8081, 8082));
        assert_eq!((ports.agent_otlp_grpc, ports.agent_otlp_http, ports.agent_health), (4317, 4318, 13133));
        assert_eq!((ports.gateway_otlp, ports.jaeger_otlp, ports.jaeger_ui), (14317, 24317, 16686));
        let numbers: HashSet<_> = ports.each().iter().map(|port| port.number).collect();
        assert_eq!(numbers.len(), ports.each().len());
    }

    #[test]
    fn a_variable_changes_one_port() {
        let get = |name: &str| (name == "SIGHTLINE_USER_HTTP_PORT").then(|| "9000".to_owned());
        let ports = Ports::from_variables(get).unwrap();
        assert_eq!(ports, Ports { user_http: 9000, ..Ports::standard() });
        for bad in ["0", "65536", "http", "-1"] {
            let error = Ports::from_variables(|_| Some(bad.to_owned())).unwrap_err();
            assert!(error.to_string().contains("SIGHTLINE_JAEGER_UI_PORT"), "{error}");
        }
    }

    #[test]
    fn free_ports_are_free_and_different() {
        let ports = Ports::free().unwrap();
        assert_eq!(unusable(&ports.each()), []);
    }

    #[test]
    fn a_port_in_use_is_named_with_its_holder_and_remedy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let ports = Ports { order_http: number, ..Ports::free().unwrap() };
        let found = unusable(&ports.each());
        assert_eq!(found.len(), 1);
        let text = found[0].to_string();
        assert!(text.starts_with(&format!("port {number} (order-service's HTTP) is in use")), "{text}");
        assert!(text.ends_with("or set SIGHTLINE_ORDER_HTTP_PORT"), "{text}");
        #[cfg(target_os = "linux")]
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
    }

    #[test]
    fn a_port_given_twice_is_found() {
        let free = Ports::free().unwrap();
        let ports = Ports { user_http: free.order_http, ..free };
        let found = unusable(&ports.each());
        assert!(matches!(found.as_slice(), [PortInUse { obstacle: Obstacle::Twice(_), .. }]), "{found:?}");
    }
}
