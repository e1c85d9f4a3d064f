//! `sightline.toml` describes the services on one machine, and the chart's values describe them in a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sightline::stack::StackSpec;

use crate::helm;

/// The facts that both files contain.
#[derive(Debug, PartialEq)]
struct Service {
    protocol: String,
    /// The port of the server. `None` for a worker.
    port: Option<u16>,
    calls: BTreeSet<String>,
}

/// The names, protocols, ports and callees of the services are the same in both files.
pub(crate) fn describes_the_same_services() -> Result<()> {
    let spec = StackSpec::load(&helm::repository().join("sightline.toml"))?;
    let mut local = BTreeMap::new();
    for service in spec.services() {
        let protocol = service.protocol.context("a service has a protocol")?.name().to_owned();
        let port = service.server_port().map(|name| spec.ports().number(&service.name, name)).transpose()?;
        let calls = service.calls.iter().map(ToString::to_string).collect();
        local.insert(service.name.to_string(), Service { protocol, port, calls });
    }
    let chart = chart()?;
    ensure!(
        local == chart,
        "sightline.toml describes\n{local:#?}\nbut helm/sightline/values.yaml describes\n{chart:#?}"
    );
    Ok(())
}

fn chart() -> Result<BTreeMap<String, Service>> {
    let yaml = |file: &str| -> Result<Value> {
        Ok(serde_yaml::from_str(&fs::read_to_string(helm::chart().join(file))?)?)
    };
    let (values, defaults) = (yaml("values.yaml")?, yaml("charts/service/values.yaml")?);
    let mut services = BTreeMap::new();
    for (name, entry) in values["services"].as_object().context("values.yaml has no services")? {
        let value = |pointer: &str| entry.pointer(pointer).or_else(|| defaults.pointer(pointer));
        let protocol = value("/protocol").and_then(Value::as_str).context("no protocol")?.to_owned();
        let port = value("/service/port").and_then(Value::as_u64).filter(|_| protocol != "worker");
        let calls = value("/calls").map(|calls| serde_json::from_value(calls.clone())).transpose()?;
        let port = port.map(u16::try_from).transpose()?;
        services.insert(name.clone(), Service { protocol, port, calls: calls.unwrap_or_default() });
    }
    Ok(services)
}
