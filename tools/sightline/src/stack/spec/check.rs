//! The checks that compare several services: calls, placeholders, cycles and ports.

use std::ops::Range;

use toml::Spanned;

use super::super::ports::Port;
use super::super::process::Process;
use super::error::nearest;
use super::raw::RawService;
use super::read::{Kind, NamedService, Reader};
use super::template::{Form, Placeholder, Template};
use super::{ADMIN, AGENT, ProcessSpec, Protocol, graph};

impl Reader<'_> {
    pub(super) fn check_calls(&mut self, process: &ProcessSpec, service: &RawService, all: &[ProcessSpec]) {
        let mut seen: Vec<&str> = Vec::new();
        for call in &service.calls {
            let name = call.get_ref().as_str();
            let callee = all.iter().find(|other| other.name == name);
            let problem = if seen.contains(&name) {
                Some(format!("{name:?} is in this list twice: remove one of them"))
            } else if process.name == name {
                Some("a service cannot be in its own list `calls`: remove it".to_owned())
            } else if self.existing.iter().any(|other| other.name == name) {
                Some(format!(
                    "every service sends its telemetry to the pipeline: remove {name:?} from `calls`"
                ))
            } else if let Some(callee) = callee {
                (callee.protocol == Some(Protocol::Worker))
                    .then(|| format!("{name} is a worker, which cannot be called: remove it from `calls`"))
            } else {
                let names = all.iter().map(|other| other.name.name()).filter(|other| process.name != *other);
                let advice = nearest(name, names).map_or_else(
                    || format!("add [services.{name}], or remove it from `calls`"),
                    |nearest| format!("did you mean {nearest:?}?"),
                );
                Some(format!("there is no service {name:?} to call: {advice}"))
            };
            seen.push(name);
            if let Some(problem) = problem {
                self.problems.add(call.span(), problem);
            }
        }
    }

    pub(super) fn check_placeholders(
        &mut self,
        process: &ProcessSpec,
        service: &RawService,
        all: &[ProcessSpec],
    ) {
        for text in service.env.values().chain(&service.arguments) {
            // Values that cannot be parsed are recorded as problems elsewhere.
            let Ok(template) = Template::parse(text.get_ref()) else { continue };
            for placeholder in template.placeholders() {
                if let Err(problem) = self.check_placeholder(placeholder, process, all) {
                    self.problems.add(text.span(), problem);
                }
            }
        }
    }

    fn check_placeholder(
        &self,
        placeholder: &Placeholder,
        process: &ProcessSpec,
        all: &[ProcessSpec],
    ) -> Result<(), String> {
        if self.kind == Kind::Services && placeholder.is_for_the_pipeline() {
            return Err("only the pipeline of Sightline itself can use this placeholder".to_owned());
        }
        match placeholder {
            Placeholder::Own(_) if process.server_port().is_none() => Err(format!(
                "{process} has no server, so it has no port, address or url",
                process = process.name
            )),
            Placeholder::Other { process: name, port, form } => {
                let other = all.iter().chain(self.existing).find(|other| other.name == *name);
                let Some(other) = other else {
                    let names = process.calls.iter().map(Process::name).collect::<Vec<_>>().join(", ");
                    return Err(format!("there is no service {name}; `calls` lists: {names}"));
                };
                let is_callee = process.calls.contains(name) || process.name == *name;
                // The metrics store reads metrics of processes that stop before it does. `calls` sets the order.
                if !is_callee && self.kind == Kind::Services && *name != AGENT {
                    return Err(format!("add {:?} to `calls` to use its address", name.name()));
                }
                check_port(other, port.as_deref(), *form)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_cycle(&mut self, processes: &[ProcessSpec], services: &[NamedService<'_>]) {
        let Some(cycle) = graph::find_cycle(processes) else { return };
        // `check_calls` has recorded a service that calls itself.
        let [first, second, _, ..] = cycle.as_slice() else { return };
        let span = services
            .iter()
            .filter(|(name, _)| first == name.get_ref().as_str())
            .flat_map(|(_, service)| &service.calls)
            .find(|call| second == call.get_ref().as_str())
            .map_or(0..0, Spanned::span);
        let path = cycle.iter().map(Process::name).collect::<Vec<_>>().join(" → ");
        let message = format!(
            "these calls form a cycle: {path}. A service is stopped before the services that it calls, which is \
             impossible in a cycle: remove one of the calls from `calls`, and give that address in `env` as text"
        );
        self.problems.add(span, message);
    }

    /// Records ports that are used twice, and variables that would change two ports.
    pub(super) fn check_ports(&mut self, processes: &[ProcessSpec], services: &[NamedService<'_>]) {
        let mut seen: Vec<&Port> = self.existing.iter().flat_map(|process| &process.ports).collect();
        for (process, (name, service)) in processes.iter().zip(services) {
            for port in &process.ports {
                let span = port_span(&port.name, service).unwrap_or(name.span());
                if let Some(other) = seen.iter().find(|other| other.number == port.number) {
                    let message = format!(
                        "port {} is already the port of {}: use another number",
                        port.number, other.description
                    );
                    self.problems.add(span.clone(), message);
                }
                if let Some(other) = seen.iter().find(|other| other.variable == port.variable) {
                    let message = format!(
                        "{} would change both {} and {}: rename {}",
                        port.variable, other.description, port.description, process.name
                    );
                    self.problems.add(span, message);
                }
                seen.push(port);
            }
        }
    }
}

/// Checks that a placeholder names an existing port of `process`.
fn check_port(process: &ProcessSpec, port: Option<&str>, form: Form) -> Result<(), String> {
    let name = &process.name;
    let Some(port) = port else {
        return match process.server_port() {
            Some(_) => Ok(()),
            None if process.is_service() => Err(format!("{name} is a worker, which has no address")),
            None => Err(format!("name one of the ports of {name}: {}", port_names(process))),
        };
    };
    if process.port(port).is_none() {
        return Err(format!("{name} has no port {port}: use one of {}", port_names(process)));
    }
    if form == Form::Url && !process.is_service() {
        return Err(format!(
            "the ports of {name} do not all use the same URL scheme: write it before {name}.{port}.address"
        ));
    }
    Ok(())
}

fn port_names(process: &ProcessSpec) -> String {
    process.ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Returns the position of a port in the file.
fn port_span(name: &str, service: &RawService) -> Option<Range<usize>> {
    if let Some(port) = service.ports.get(name) {
        return Some(port.port.span());
    }
    let port = if name == ADMIN { &service.admin_port } else { &service.port };
    port.as_ref().map(Spanned::span)
}
