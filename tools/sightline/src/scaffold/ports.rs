//! The ports of a new service.

use super::{NewService, ScaffoldError};
use crate::stack::spec::{ADMIN, Protocol};
use crate::stack::{Port, StackSpec};

/// The number before the first port of a server, if no service has one.
const BEFORE_FIRST_PORT: u16 = 8079;

/// The number before the first admin port, if no service has one.
const BEFORE_FIRST_ADMIN_PORT: u16 = 2111;

const PORT_OPTION: &str = "--port";
const ADMIN_PORT_OPTION: &str = "--admin-port";

/// Chooses the ports: the server's port, which a worker does not have, and the admin port. A port that is not given is
/// the next number after those of the other services that no process of the stack uses.
pub(super) fn choose(spec: &StackSpec, service: &NewService) -> Result<(Option<u16>, u16), ScaffoldError> {
    let ports = spec.ports();
    let used = ports.all();
    for (option, number) in [(PORT_OPTION, service.port), (ADMIN_PORT_OPTION, service.admin_port)] {
        let Some(number) = number else { continue };
        if let Some(other) = used.iter().find(|port| port.number == number) {
            let problem = format!("it is {}: use another number", other.description);
            return Err(ScaffoldError::Port { option, number, problem });
        }
    }
    match (service.protocol, service.port) {
        (Protocol::Worker, Some(number)) => {
            let problem = "a worker has no server: leave out this option".to_owned();
            return Err(ScaffoldError::Port { option: PORT_OPTION, number, problem });
        }
        (_, Some(number)) if service.admin_port == Some(number) => {
            let problem = format!("it is also {ADMIN_PORT_OPTION}: use two numbers");
            return Err(ScaffoldError::Port { option: PORT_OPTION, number, problem });
        }
        _ => {}
    }

    let mut taken: Vec<u16> = used.iter().map(|port| port.number).collect();
    taken.extend([service.port, service.admin_port].into_iter().flatten());
    let is_of_service = |port: &&Port| spec.services().any(|service| service.name == port.process.name());
    let mut next = |is_admin: bool, before_first| -> Result<u16, ScaffoldError> {
        let numbers = used.iter().filter(is_of_service).filter(|port| (port.name == ADMIN) == is_admin);
        let last = numbers.map(|port| port.number).max().unwrap_or(before_first);
        let free = (last..u16::MAX).map(|number| number + 1).find(|number| !taken.contains(number));
        let free = free.ok_or(ScaffoldError::NoFreePort(last))?;
        taken.push(free);
        Ok(free)
    };
    let port = match (service.protocol, service.port) {
        (Protocol::Worker, _) => None,
        (Protocol::Http | Protocol::Grpc, Some(port)) => Some(port),
        (Protocol::Http | Protocol::Grpc, None) => Some(next(false, BEFORE_FIRST_PORT)?),
    };
    let admin_port = match service.admin_port {
        Some(port) => port,
        None => next(true, BEFORE_FIRST_ADMIN_PORT)?,
    };
    Ok((port, admin_port))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn spec(text: &str) -> StackSpec {
        StackSpec::parse(text, Path::new("sightline.toml")).unwrap()
    }

    fn service(protocol: Protocol, port: Option<u16>, admin_port: Option<u16>) -> NewService {
        NewService { port, admin_port, ..NewService::new("new", protocol) }
    }

    const TWO: &str = "[services.a]\npackage = \"a\"\nprotocol = \"http\"\nport = 8887\nadmin-port = 2113\n\
                       [services.b]\npackage = \"b\"\nprotocol = \"worker\"\nadmin-port = 2112\n";

    #[test]
    fn continues_after_the_other_services_and_skips_the_pipeline() {
        let choose = |text, protocol| choose(&spec(text), &service(protocol, None, None)).unwrap();
        assert_eq!(choose("", Protocol::Http), (Some(8080), 2112));
        // 8888 and 8889 are ports of the agent and the gateway.
        assert_eq!(choose(TWO, Protocol::Grpc), (Some(8890), 2114));
        assert_eq!(choose(TWO, Protocol::Worker), (None, 2114));
    }

    #[test]
    fn uses_the_given_ports_if_they_are_free() {
        let choose = |protocol, port, admin| choose(&spec(TWO), &service(protocol, port, admin));
        assert_eq!(choose(Protocol::Http, Some(9000), Some(9001)).unwrap(), (Some(9000), 9001));
        assert_eq!(choose(Protocol::Http, Some(2114), None).unwrap(), (Some(2114), 2115));
        for (protocol, port, admin, reason) in [
            (Protocol::Http, Some(8887), None, "--port 8887 cannot be used: it is a's HTTP API"),
            (Protocol::Http, None, Some(4317), "--admin-port 4317 cannot be used: it is the agent's"),
            (Protocol::Grpc, Some(9000), Some(9000), "use two numbers"),
            (Protocol::Worker, Some(9000), None, "a worker has no server"),
        ] {
            let error = choose(protocol, port, admin).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let last = TWO.replace("8887", "65535");
        let error =
            super::choose(&spec(&last), &service(Protocol::Http, None, None)).unwrap_err().to_string();
        assert!(error.contains("no number above 65535"), "{error}");
    }
}
