//! `helm upgrade` from the first version of the chart, in which each service was a subchart.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::ensure_none;
use crate::value_set;

/// The objects of the first version with its default values. A workload is followed by the labels of its selector.
/// Kubernetes does not allow a selector to change, so an upgrade that changes a selector fails. If an object had another
/// name, an upgrade would delete its data or break its clients. Do not change this list.
const OBJECTS: &str = "
ConfigMap sightline-agent
ConfigMap sightline-gateway
ConfigMap sightline-jaeger
DaemonSet sightline-agent app.kubernetes.io/component=agent app.kubernetes.io/instance=sightline app.kubernetes.io/name=collector
Deployment sightline-inventory-service app.kubernetes.io/instance=sightline app.kubernetes.io/name=inventory-service
Deployment sightline-jaeger app.kubernetes.io/instance=sightline app.kubernetes.io/name=jaeger
Deployment sightline-order-service app.kubernetes.io/instance=sightline app.kubernetes.io/name=order-service
Deployment sightline-user-service app.kubernetes.io/instance=sightline app.kubernetes.io/name=user-service
PersistentVolumeClaim sightline-jaeger
Secret sightline-agent-tls
Secret sightline-ca
Secret sightline-gateway-tls
Secret sightline-inventory-service-tls
Secret sightline-jaeger-tls
Secret sightline-order-service-tls
Secret sightline-user-service-tls
Service sightline-agent
Service sightline-gateway
Service sightline-gateway-headless
Service sightline-inventory-service
Service sightline-jaeger
Service sightline-order-service
Service sightline-user-service
ServiceAccount sightline-agent
ServiceAccount sightline-gateway
ServiceAccount sightline-inventory-service
ServiceAccount sightline-jaeger
ServiceAccount sightline-order-service
ServiceAccount sightline-user-service
StatefulSet sightline-gateway app.kubernetes.io/component=gateway app.kubernetes.io/instance=sightline app.kubernetes.io/name=collector
";

pub(crate) fn keeps_names_and_selectors() -> Result<()> {
    let rendering = value_set::render_named("default")?;
    let mut problems = Vec::new();
    for line in OBJECTS.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let (kind, name) = words.next().zip(words.next()).context("a line has no kind and name")?;
        let selector: Vec<&str> = words.collect();
        let Some(manifest) =
            rendering.manifests.iter().find(|manifest| manifest.kind() == kind && manifest.name() == name)
        else {
            problems.push(format!("there is no {kind} {name}"));
            continue;
        };
        let labels = manifest.value.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
        let mut found: Vec<String> = labels
            .iter()
            .flat_map(|labels| labels.iter())
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        found.sort();
        if found != selector {
            problems.push(format!("the selector of {kind} {name} changed to {found:?}"));
        }
    }
    ensure_none(&problems)
}
