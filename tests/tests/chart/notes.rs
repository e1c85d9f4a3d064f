//! Checks that the commands in the installation notes work as printed.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Service;

use crate::helm;
use crate::value_set::ValueSet;

/// Each `port-forward` in the notes names a Service of the release and a port of that Service. Unless the release is in
/// the namespace `default`, each `kubectl` command names the release's namespace.
pub(crate) fn name_existing_services(set: &ValueSet) -> Result<()> {
    let rendering = set.rendering()?;
    let notes = helm::notes(&set.chart(), set.install())?;
    let services = rendering.all::<Service>()?;
    // The notes are split at each `port-forward`, because a line can contain two commands.
    for command in notes.split("port-forward ").skip(1).filter_map(|rest| rest.lines().next()) {
        let mut words = command.split_whitespace();
        let name = words.find_map(|word| word.strip_prefix("svc/").or_else(|| word.strip_prefix("service/")));
        let port = words.find_map(|word| word.split_once(':')).map(|(_, port)| port);
        let (name, port) = name
            .zip(port)
            .with_context(|| format!("this command names no Service or no port: port-forward {command}"))?;
        let service = services.iter().find(|service| service.metadata.name.as_deref() == Some(name));
        let spec = service.and_then(|service| service.spec.clone());
        let ports = spec
            .with_context(|| format!("there is no Service {name}: port-forward {command}"))?
            .ports
            .unwrap_or_default();
        let exists =
            ports.iter().any(|one| one.port.to_string() == port || one.name.as_deref() == Some(port));
        ensure!(exists, "Service {name} has no port {port}: port-forward {command}");
    }
    for line in notes.lines().filter(|line| line.contains("kubectl ")) {
        let needs_namespace = rendering.namespace != "default";
        ensure!(
            !needs_namespace || line.contains(&rendering.namespace),
            "this command does not name the namespace {}: {line}",
            rendering.namespace
        );
    }
    ensure!(
        !notes.contains("%!") && !notes.contains("<no value>"),
        "the notes lack a template value:\n{notes}"
    );
    Ok(())
}

/// The notes of the default installation contain the commands that request an order and show the order's trace.
pub(crate) fn lead_to_the_trace_of_an_order(set: &ValueSet) -> Result<()> {
    let notes = helm::notes(&set.chart(), set.install())?;
    for text in ["kubectl", "port-forward", "curl -i", "traceresponse", "bin/sightline trace"] {
        ensure!(notes.contains(text), "the notes do not contain {text:?}:\n{notes}");
    }
    Ok(())
}
