//! The addresses that `sightline up` prints when the stack is running.

use std::fmt::Write as _;

use sightline::stack::spec::{ProcessSpec, Protocol};
use sightline::stack::{AGENT, GATEWAY, PortError, Stack, VMAUTH};

/// Returns the addresses of the stack, and commands to try next.
pub(super) fn describe(stack: &Stack) -> Result<String, PortError> {
    let ports = stack.ports();
    let dir = stack.dir().display();
    let running: Vec<&ProcessSpec> =
        stack.config().spec.services().filter(|service| stack.pid(&service.name).is_some()).collect();

    let pages = stack.pages_url();
    // The first addresses are those that a person opens first.
    let mut rows = vec![
        ("Traces", format!("{pages}/")),
        ("Metrics", format!("{pages}/prometheus/vmui/")),
        ("Logs", format!("{pages}/select/vmui/")),
    ];
    if stack.config().evaluates_alerts() {
        rows.push(("Alerts", format!("{pages}/prometheus/vmui/#/rules")));
    }
    for service in &running {
        rows.push((service.name.name(), address(stack, service)?));
    }
    let mut admin = Vec::new();
    for service in running.iter().filter(|service| service.has_admin_port()) {
        admin.push(format!("{} ({})", ports.admin(&service.name)?, service.name));
    }
    if !admin.is_empty() {
        rows.push(("admin ports", format!("http://127.0.0.1:{}: /metrics /livez /readyz", admin.join(", "))));
    }
    let (grpc, http) = (ports.number(AGENT, "otlp-grpc")?, ports.number(AGENT, "otlp-http")?);
    rows.extend([
        (AGENT, format!("https://localhost:{grpc} OTLP/gRPC, {http} OTLP/HTTP")),
        ("", format!("mutual TLS: certificates in {}", stack.certificates_dir().display())),
        ("span metrics", format!("http://127.0.0.1:{}/metrics", ports.number(GATEWAY, "span-metrics")?)),
        ("process logs", format!("{dir}/logs/*.log")),
    ]);

    let mut text = String::from("Addresses and files\n");
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(18);
    for (name, address) in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {name:<width$} {address}");
    }
    text.push_str(&commands(stack, &running)?);
    Ok(text)
}

/// Returns the address of a service, with its protocol if it is not HTTP.
fn address(stack: &Stack, service: &ProcessSpec) -> Result<String, PortError> {
    Ok(match service.protocol {
        Some(Protocol::Http) => {
            format!("{}{}", stack.url(&service.name)?, service.try_path.as_deref().unwrap_or_default())
        }
        Some(Protocol::Grpc) => format!("{} (gRPC)", stack.url(&service.name)?),
        Some(Protocol::Worker) | None => "(worker, without a server)".to_owned(),
    })
}

/// Returns commands to try. The request goes to a service that no other service calls, because its trace shows the most
/// services.
fn commands(stack: &Stack, running: &[&ProcessSpec]) -> Result<String, PortError> {
    let (sightline, jaeger) = (program(), jaeger_option(stack)?);
    let mut text = String::from("\n\nTry in another terminal\n");
    let stages = stack.config().spec.stages();
    let in_order =
        stages.iter().flatten().filter_map(|name| running.iter().find(|service| service.name == *name));
    let entry = in_order.clone().find(|service| service.try_path.is_some());
    if let Some(service) = entry {
        let _ = write!(text, "\n  curl -i {}", address(stack, service)?);
    }
    let name = entry.or(in_order.clone().next()).map_or("NAME", |service| service.name.name());
    let _ = write!(
        text,
        "\n  {sightline} traces --service {name}{jaeger}\n  {sightline} trace -v TRACE_ID{jaeger}"
    );
    Ok(text)
}

/// Returns the path of this program, relative to the working directory if possible.
fn program() -> String {
    let Ok(program) = std::env::current_exe() else { return "sightline".to_owned() };
    let working_directory = std::env::current_dir().unwrap_or_default();
    program.strip_prefix(&working_directory).unwrap_or(&program).display().to_string()
}

/// Returns the option with which other commands find this Jaeger, or an empty text if its pages use the default port.
fn jaeger_option(stack: &Stack) -> Result<String, PortError> {
    let default = stack.config().spec.ports().number(VMAUTH, "pages")?;
    let actual = stack.ports().number(VMAUTH, "pages")?;
    Ok(if actual == default { String::new() } else { format!(" --jaeger {}", stack.pages_url()) })
}
