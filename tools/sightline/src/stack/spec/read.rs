//! Turns the structure of a file into a description, and finds the mistakes in it.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;

use super::super::ports::Port;
use super::super::process::Process;
use super::error::{Problems, SpecError, nearest};
use super::raw::{self, RawService};
use super::template::Template;
use super::{ADMIN, DERIVED_VARIABLES, Health, ProcessSpec, Program, Protocol};
use crate::gateway::Additions;

/// Which file is read. The two kinds have different keys and placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `pipeline.toml`
    Pipeline,
    /// A services file such as `sightline.toml`
    Services,
}

/// The name of the port at which a process of the pipeline reports its health.
const HEALTH_PORT: &str = "health";
/// The name of that port if the process has only one port.
const HTTP_PORT: &str = "http";
/// The path at which the admin port of a service reports its health.
const READY_PATH: &str = "/readyz";

type Environment = Vec<(String, Template)>;

/// What a file describes.
#[derive(Default)]
pub(super) struct Description {
    /// The processes in the order of the file.
    pub(super) processes: Vec<ProcessSpec>,
    /// The variables of every service.
    pub(super) service_env: Environment,
    /// Additions to the configuration of the gateway.
    pub(super) gateway: Additions,
}

/// Reads a file. `existing` are the processes of the pipeline if the file is a services file.
pub(super) fn read(
    source: &str,
    path: &Path,
    kind: Kind,
    existing: &[ProcessSpec],
) -> Result<Description, SpecError> {
    let mut reader = Reader { path, kind, existing, problems: Problems::new(source) };
    let Some(file) = raw::parse(source, kind, &mut reader.problems) else {
        reader.problems.finish(path)?;
        return Ok(Description::default());
    };
    let mut services: Vec<_> = file.services.iter().collect();
    services.sort_by_key(|(name, _)| name.span().start);

    let processes: Vec<_> = services.iter().map(|(name, service)| reader.process(name, service)).collect();
    for (process, (_, service)) in processes.iter().zip(&services) {
        reader.check_calls(process, service, &processes);
        reader.check_placeholders(process, service, &processes);
    }
    reader.check_cycle(&processes, &services);
    reader.check_ports(&processes, &services);
    let service_env = reader.environment(&file.service_env);
    reader.problems.finish(path)?;
    Ok(Description { processes, service_env, gateway: file.gateway })
}

/// Checks the name of a service. The error says what is wrong.
pub(super) fn check_name(name: &str, others: &[ProcessSpec]) -> Result<(), String> {
    let is_label = !name.is_empty()
        && name.len() <= 63
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_label {
        return Err(
            "use a DNS label: at most 63 lower-case letters, digits and '-', with a letter or digit at \
                    both ends"
                .to_owned(),
        );
    }
    if name == "ca" {
        return Err("the directory `ca` contains the CA of the certificates; use another name".to_owned());
    }
    if others.iter().any(|process| process.name == name) {
        return Err("a process of the pipeline has this name; use another name".to_owned());
    }
    Ok(())
}

/// Reads one file. The module `check` has the checks that compare several services.
pub(super) struct Reader<'a> {
    path: &'a Path,
    pub(super) kind: Kind,
    /// The processes of the pipeline if the file is a services file.
    pub(super) existing: &'a [ProcessSpec],
    pub(super) problems: Problems<'a>,
}

pub(super) type NamedService<'a> = (&'a Spanned<String>, &'a RawService);

impl Reader<'_> {
    fn process(&mut self, name: &Spanned<String>, service: &RawService) -> ProcessSpec {
        if self.kind == Kind::Services
            && let Err(problem) = check_name(name.get_ref(), self.existing)
        {
            self.problems.add(name.span(), format!("{:?} cannot be a service: {problem}", name.get_ref()));
        }
        let process = Process::from(name.get_ref().as_str());
        let program = self.program(name, service);
        let protocol = self.protocol(name, service);
        let ports = match self.kind {
            Kind::Pipeline => self.pipeline_ports(&process, service),
            Kind::Services => self.service_ports(&process, protocol, name, service),
        };
        let health = self.health(protocol, service);
        let line = service.package.as_ref().or(service.program.as_ref()).map_or(name.span(), Spanned::span);
        ProcessSpec {
            name: process,
            protocol,
            program,
            calls: service.calls.iter().map(|call| Process::from(call.get_ref().as_str())).collect(),
            try_path: self.http_path("try", service.r#try.as_ref(), protocol),
            ports,
            optional: service.optional,
            arguments: service.arguments.iter().filter_map(|text| self.template(text)).collect(),
            env: self.environment(&service.env),
            health,
            line: self.problems.line(line.start),
        }
    }

    fn program(&mut self, name: &Spanned<String>, service: &RawService) -> Option<Program> {
        let empty =
            [&service.package, &service.program].into_iter().flatten().find(|v| v.get_ref().is_empty());
        if let Some(empty) = empty {
            self.problems.add(empty.span(), "this is empty: name a Cargo package or a file");
            return None;
        }
        match (&service.package, &service.program) {
            (Some(package), None) => Some(Program::Package(package.get_ref().clone())),
            (None, Some(program)) if self.kind == Kind::Pipeline => {
                Some(Program::Tool(program.get_ref().clone()))
            }
            (None, Some(program)) => {
                let directory = self.path.parent().unwrap_or(Path::new("."));
                Some(Program::File { path: directory.join(program.get_ref()), build: None })
            }
            (Some(_), Some(program)) => {
                let message = "a service has either a `package` or a `program`: remove one of them";
                self.problems.add(program.span(), message);
                None
            }
            (None, None) => {
                let message = format!(
                    "{} has no program: add `package` with the name of a Cargo package, or `program` with a path",
                    name.get_ref()
                );
                self.problems.add(name.span(), message);
                None
            }
        }
    }

    fn protocol(&mut self, name: &Spanned<String>, service: &RawService) -> Option<Protocol> {
        if self.kind == Kind::Pipeline {
            return None;
        }
        let names = Protocol::ALL.map(Protocol::name);
        let Some(protocol) = &service.protocol else {
            let message = format!("{} has no `protocol`: add one of {}", name.get_ref(), names.join(", "));
            self.problems.add(name.span(), message);
            return None;
        };
        let found = Protocol::ALL.into_iter().find(|each| each.name() == protocol.get_ref());
        if found.is_none() {
            let advice = nearest(protocol.get_ref(), names).map_or_else(
                || format!("use one of {}", names.join(", ")),
                |name| format!("did you mean {name:?}?"),
            );
            self.problems
                .add(protocol.span(), format!("{:?} is not a protocol: {advice}", protocol.get_ref()));
        }
        found
    }

    fn pipeline_ports(&mut self, process: &Process, service: &RawService) -> Vec<Port> {
        let mut ports: Vec<_> = service.ports.iter().collect();
        ports.sort_by_key(|(name, _)| name.span().start);
        let mut result = Vec::new();
        for (name, port) in ports {
            if let Some(number) = self.port_number(&port.port) {
                let name = name.get_ref().clone();
                let variable = variable(process.name(), &name);
                let description = port.description.clone();
                result.push(Port { number, process: process.clone(), name, description, variable });
            }
        }
        result
    }

    fn service_ports(
        &mut self,
        process: &Process,
        protocol: Option<Protocol>,
        name: &Spanned<String>,
        service: &RawService,
    ) -> Vec<Port> {
        let stem = process.name().strip_suffix("-service").filter(|stem| !stem.is_empty());
        let stem = stem.unwrap_or(process.name());
        let mut ports = Vec::new();
        let mut add = |number, name: &str, description: String| {
            let variable = variable(stem, name);
            ports.push(Port {
                number,
                process: process.clone(),
                name: name.to_owned(),
                description,
                variable,
            });
        };
        match (protocol, &service.port) {
            (Some(Protocol::Http | Protocol::Grpc), None) => {
                let message =
                    format!("{process} has no `port`: add the number of the port that it listens on");
                self.problems.add(name.span(), message);
            }
            (Some(Protocol::Worker), Some(port)) => {
                let message = "a worker has no server and no `port`: remove it, or change `protocol`";
                self.problems.add(port.span(), message);
            }
            (Some(protocol @ (Protocol::Http | Protocol::Grpc)), Some(port)) => {
                if let Some(number) = self.port_number(port) {
                    let api = if protocol == Protocol::Http { "HTTP" } else { "gRPC" };
                    add(number, protocol.name(), format!("{process}'s {api} API"));
                }
            }
            // A problem is recorded for the missing protocol.
            (Some(Protocol::Worker) | None, _) => {}
        }
        if let Some(port) = &service.admin_port
            && let Some(number) = self.port_number(port)
        {
            add(number, ADMIN, format!("{process}'s admin port"));
        }
        ports
    }

    fn port_number(&mut self, port: &Spanned<i64>) -> Option<u16> {
        let number = u16::try_from(*port.get_ref()).ok().filter(|number| *number > 0);
        if number.is_none() {
            let message = format!("{} is not a port: use a number from 1 to 65535", port.get_ref());
            self.problems.add(port.span(), message);
        }
        number
    }

    fn health(&mut self, protocol: Option<Protocol>, service: &RawService) -> Health {
        if let (Some(health), Some(_)) = (&service.health, &service.admin_port) {
            let message = "a service with an `admin-port` reports its health there: remove `health`";
            self.problems.add(health.span(), message);
        }
        if service.admin_port.is_some() {
            return Health::Get { port: ADMIN.to_owned(), path: READY_PATH.to_owned() };
        }
        let path = self.http_path("health", service.health.as_ref(), protocol);
        match (self.kind, path, protocol) {
            (Kind::Pipeline, Some(path), _) => {
                let port = if service.ports.contains_key(HEALTH_PORT) { HEALTH_PORT } else { HTTP_PORT };
                Health::Get { port: port.to_owned(), path }
            }
            (Kind::Services, Some(path), _) => Health::Get { port: Protocol::Http.name().to_owned(), path },
            (_, None, Some(protocol @ (Protocol::Http | Protocol::Grpc))) => {
                Health::Connect { port: protocol.name().to_owned() }
            }
            (_, None, Some(Protocol::Worker) | None) => Health::Running,
        }
    }

    /// Returns the value of a key that is the path of a GET request.
    fn http_path(
        &mut self,
        key: &str,
        path: Option<&Spanned<String>>,
        protocol: Option<Protocol>,
    ) -> Option<String> {
        let path = path?;
        if self.kind == Kind::Services && matches!(protocol, Some(Protocol::Grpc | Protocol::Worker)) {
            let message =
                format!("`{key}` is the path of an HTTP request, and this service serves no HTTP: remove it");
            self.problems.add(path.span(), message);
        } else if !path.get_ref().starts_with('/') {
            let message =
                format!("`{key}` is the path of an HTTP request: start it with a slash, as in \"/healthz\"");
            self.problems.add(path.span(), message);
        }
        Some(path.get_ref().clone())
    }

    fn template(&mut self, text: &Spanned<String>) -> Option<Template> {
        let template = Template::parse(text.get_ref());
        template.map_err(|message| self.problems.add(text.span(), message)).ok()
    }

    fn environment(&mut self, variables: &BTreeMap<Spanned<String>, Spanned<String>>) -> Environment {
        let mut variables: Vec<_> = variables.iter().collect();
        variables.sort_by_key(|(name, _)| name.span().start);
        let mut environment = Vec::new();
        for (name, value) in variables {
            self.check_variable(name);
            if let Some(template) = self.template(value) {
                environment.push((name.get_ref().clone(), template));
            }
        }
        environment
    }

    fn check_variable(&mut self, name: &Spanned<String>) {
        let text = name.get_ref();
        let is_valid = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && text.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !is_valid {
            let message = format!("{text:?} is not the name of a variable: use letters, digits and '_'");
            self.problems.add(name.span(), message);
        }
        if let Some((_, key)) = DERIVED_VARIABLES.iter().find(|(derived, _)| derived == text) {
            self.problems.add(name.span(), format!("{text} is set from {key}: remove it from `env`"));
        }
    }
}

/// Returns the environment variable that changes a port.
fn variable(process: &str, port: &str) -> String {
    format!("SIGHTLINE_{process}_{port}_PORT").replace('-', "_").to_uppercase()
}
