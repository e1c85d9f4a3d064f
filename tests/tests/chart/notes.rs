//! What a person is told after an installation can be done as it stands.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Service;

use crate::case::Case;
use crate::helm;

/// Every Service that the notes name is there, with the port they name, in the namespace they name.
pub(crate) fn name_what_is_there(case: &Case) -> Result<()> {
    let rendering = case.rendering()?;
    let notes = helm::notes(&case.chart(), case.install())?;
    let services = rendering.all::<Service>()?;
    // Two may stand on one line.
    for forward in notes.split("port-forward ").skip(1).filter_map(|rest| rest.lines().next()) {
        let mut words = forward.split_whitespace();
        let name = words.find_map(|word| word.strip_prefix("svc/").or_else(|| word.strip_prefix("service/")));
        let port = words.find_map(|word| word.split_once(':')).map(|(_, port)| port);
        let (name, port) =
            name.zip(port).with_context(|| format!("names no Service and ports: {forward}"))?;
        let service = services.iter().find(|service| service.metadata.name.as_deref() == Some(name));
        let spec = service.and_then(|service| service.spec.clone());
        let ports = spec.with_context(|| format!("not there: {forward}"))?.ports.unwrap_or_default();
        let known = ports.iter().any(|one| one.port.to_string() == port || one.name.as_deref() == Some(port));
        ensure!(known, "{name} has no port {port}: {forward}");
    }
    for line in notes.lines().filter(|line| line.contains("kubectl ")) {
        let away = rendering.namespace != "default";
        ensure!(!away || line.contains(&rendering.namespace), "not in the release's namespace: {line}");
    }
    ensure!(!notes.contains("%!") && !notes.contains("<no value>"), "a value is missing in:\n{notes}");
    Ok(())
}

/// After the plain installation: three commands, to the order's trace.
pub(crate) fn three_commands(case: &Case) -> Result<()> {
    let notes = helm::notes(&case.chart(), case.install())?;
    for part in ["kubectl", "port-forward", "curl", "sightline trace"] {
        ensure!(notes.contains(part), "there is no {part:?} in:\n{notes}");
    }
    Ok(())
}
