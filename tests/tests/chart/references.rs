//! What one manifest names in another is there.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{EnvFromSource, EnvVarSource, Service, ServicePort, Volume};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::case::{Rendering, Workload, selects};
use crate::helm::Manifest;

/// Fails with each of `wrong`.
fn none(wrong: &[String]) -> Result<()> {
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Something a pod asks for: kind, name, and the key in it, if one is named.
type Asked = (&'static str, String, Option<String>);

/// Every `ConfigMap`, Secret, claim and account that a pod needs is rendered, or was there before (`# given:`).
pub(crate) fn of_pods(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    for workload in rendering.workloads()? {
        let mut asked = Vec::new();
        for volume in workload.spec.volumes.iter().flatten() {
            of_volume(volume, &mut asked);
        }
        for container in workload.containers() {
            let sources = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
            sources.for_each(|source| of_variable(source, &mut asked));
            container.env_from.iter().flatten().for_each(|source| of_variables(source, &mut asked));
        }
        for secret in workload.spec.image_pull_secrets.iter().flatten() {
            asked.push(("Secret", secret.name.clone(), None));
        }
        let account = workload.spec.service_account_name.clone();
        asked.extend(account.filter(|name| name != "default").map(|name| ("ServiceAccount", name, None)));
        for (kind, name, key) in asked.iter().filter(|asked| !there(rendering, asked)) {
            let key = key.as_ref().map_or(String::new(), |key| format!(" with key {key}"));
            wrong.push(format!("{workload}: {kind} {name}{key} is not rendered, and not given"));
        }
        wrong.extend(claims(rendering, &workload)?);
    }
    none(&wrong)
}

fn of_volume(volume: &Volume, asked: &mut Vec<Asked>) {
    if let Some(map) = &volume.config_map {
        asked.push(("ConfigMap", map.name.clone(), None));
        asked.extend(
            map.items.iter().flatten().map(|item| ("ConfigMap", map.name.clone(), Some(item.key.clone()))),
        );
    }
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.clone().unwrap_or_default();
        asked.push(("Secret", name.clone(), None));
        asked.extend(
            secret.items.iter().flatten().map(|item| ("Secret", name.clone(), Some(item.key.clone()))),
        );
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        asked.push(("PersistentVolumeClaim", claim.claim_name.clone(), None));
    }
    for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
        asked.extend(source.config_map.iter().map(|map| ("ConfigMap", map.name.clone(), None)));
        asked.extend(source.secret.iter().map(|secret| ("Secret", secret.name.clone(), None)));
    }
}

fn of_variable(source: &EnvVarSource, asked: &mut Vec<Asked>) {
    if let Some(key) = source.config_map_key_ref.as_ref().filter(|key| key.optional != Some(true)) {
        asked.push(("ConfigMap", key.name.clone(), Some(key.key.clone())));
    }
    if let Some(key) = source.secret_key_ref.as_ref().filter(|key| key.optional != Some(true)) {
        asked.push(("Secret", key.name.clone(), Some(key.key.clone())));
    }
}

fn of_variables(source: &EnvFromSource, asked: &mut Vec<Asked>) {
    asked.extend(source.config_map_ref.iter().map(|map| ("ConfigMap", map.name.clone(), None)));
    asked.extend(source.secret_ref.iter().map(|secret| ("Secret", secret.name.clone(), None)));
}

fn there(rendering: &Rendering, (kind, name, key): &Asked) -> bool {
    if rendering.given.contains(&format!("{kind}/{name}")) {
        return true;
    }
    // cert-manager makes the secret that a Certificate names, with the same three keys as the chart.
    let promised = |certificate: &Manifest| certificate.text("/spec/secretName") == name;
    if *kind == "Secret" && rendering.raw("Certificate").any(promised) {
        return key.as_ref().is_none_or(|key| ["tls.crt", "tls.key", "ca.crt"].contains(&key.as_str()));
    }
    let Some(manifest) = rendering.find(kind, name) else { return false };
    let held = |key: &String| {
        ["data", "stringData", "binaryData"].iter().any(|field| manifest.value[field].get(key).is_some())
    };
    key.as_ref().is_none_or(held)
}

/// A `StatefulSet`'s mounts that are of no volume are of one of its claims.
fn claims(rendering: &Rendering, workload: &Workload) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for set in rendering.all::<StatefulSet>()? {
        if workload.kind != "StatefulSet" || set.metadata.name.as_ref() != Some(&workload.name) {
            continue;
        }
        let claims = set.spec.unwrap_or_default().volume_claim_templates.unwrap_or_default();
        let volumes = workload.spec.volumes.iter().flatten().map(|volume| volume.name.clone());
        let names: BTreeSet<String> =
            volumes.chain(claims.into_iter().filter_map(|claim| claim.metadata.name)).collect();
        for mount in workload.containers().flat_map(|container| container.volume_mounts.iter().flatten()) {
            if !names.contains(&mount.name) {
                wrong.push(format!("{workload}: mount {} is of no volume and no claim", mount.name));
            }
        }
    }
    Ok(wrong)
}

/// Every Service takes the pods of one workload, and every port of it is one of theirs.
pub(crate) fn of_services(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    let workloads = rendering.workloads()?;
    for service in rendering.all::<Service>()? {
        let name = service.metadata.name.unwrap_or_default();
        let spec = service.spec.unwrap_or_default();
        let selector = LabelSelector { match_labels: spec.selector, match_expressions: None };
        let mut taken = workloads
            .iter()
            .filter(|workload| selects(&selector, &workload.metadata.labels.clone().unwrap_or_default()));
        let (Some(workload), None) = (taken.next(), taken.next()) else {
            wrong.push(format!("Service {name} takes the pods of no workload, or of more than one"));
            continue;
        };
        for port in spec.ports.iter().flatten() {
            if container_port(port, workload).is_none() {
                wrong.push(format!("Service {name}: port {:?} goes to no port of {workload}", port.name));
            }
        }
    }
    for set in rendering.all::<StatefulSet>()? {
        let spec = set.spec.unwrap_or_default();
        let name = spec.service_name.unwrap_or_default();
        let headless =
            rendering.find("Service", &name).map(|service| service.text("/spec/clusterIP") == "None");
        if headless != Some(true) {
            wrong.push(format!(
                "StatefulSet {:?}: its Service {name:?} is no headless one here",
                set.metadata.name
            ));
        }
    }
    none(&wrong)
}

/// The number of the container's port behind a Service's.
pub(crate) fn container_port(port: &ServicePort, workload: &Workload) -> Option<u16> {
    let protocol = |own: &Option<String>| own.clone().unwrap_or_else(|| "TCP".to_owned());
    let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
    let mut declared = workload.containers().flat_map(|container| container.ports.iter().flatten());
    let found = declared.find(|declared| {
        protocol(&declared.protocol) == protocol(&port.protocol)
            && match &target {
                IntOrString::Int(number) => declared.container_port == *number,
                IntOrString::String(name) => declared.name.as_ref() == Some(name),
            }
    })?;
    u16::try_from(found.container_port).ok()
}

/// What is about a workload is about one that is there.
pub(crate) fn of_workloads(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    let workloads = rendering.workloads()?;
    for scaler in rendering.all::<HorizontalPodAutoscaler>()? {
        let spec = scaler.spec.unwrap_or_default();
        let target = (spec.scale_target_ref.kind, spec.scale_target_ref.name);
        let found =
            workloads.iter().find(|workload| (&workload.kind, &workload.name) == (&target.0, &target.1));
        match found {
            None => wrong.push(format!("HorizontalPodAutoscaler: there is no {} {}", target.0, target.1)),
            // Every upgrade would set it back.
            Some(workload) if workload.replicas.is_some() => {
                wrong.push(format!("{workload}: it is scaled, and sets replicas itself"));
            }
            Some(_) => {}
        }
        if spec.min_replicas.is_some_and(|least| least > spec.max_replicas) {
            wrong.push(format!("HorizontalPodAutoscaler of {}: the least is more than the most", target.1));
        }
    }
    for budget in rendering.all::<PodDisruptionBudget>()? {
        let name = budget.metadata.name.unwrap_or_default();
        let selector = budget.spec.unwrap_or_default().selector.unwrap_or_default();
        let taken =
            |workload: &&Workload| selects(&selector, &workload.metadata.labels.clone().unwrap_or_default());
        let count = workloads.iter().filter(taken).count();
        if count != 1 {
            wrong.push(format!("PodDisruptionBudget {name} takes the pods of {count} workloads"));
        }
    }
    for monitor in rendering.raw("ServiceMonitor") {
        let labels = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
        let wanted = labels(monitor.value.pointer("/spec/selector/matchLabels"));
        let services: Vec<&Manifest> = rendering
            .raw("Service")
            .filter(|service| {
                let held = labels(service.value.pointer("/metadata/labels"));
                !wanted.is_empty() && wanted.iter().all(|(key, value)| held.get(key) == Some(value))
            })
            .collect();
        for endpoint in monitor.value["spec"]["endpoints"].as_array().into_iter().flatten() {
            let port = &endpoint["port"];
            let named = |service: &&&Manifest| {
                service.value["spec"]["ports"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|one| &one["name"] == port)
            };
            if services.iter().filter(named).count() != 1 {
                wrong.push(format!(
                    "ServiceMonitor {}: port {port} is of no Service, or of two",
                    monitor.name()
                ));
            }
        }
    }
    none(&wrong)
}

/// Rights are given by roles that are there to accounts that are there.
pub(crate) fn of_bindings(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    for binding in rendering.raw("RoleBinding").chain(rendering.raw("ClusterRoleBinding")) {
        let what = format!("{} {}", binding.kind(), binding.name());
        let (kind, role) = (binding.text("/roleRef/kind"), binding.text("/roleRef/name"));
        if rendering.find(kind, role).is_none() {
            wrong.push(format!("{what}: there is no {kind} {role}"));
        }
        for subject in binding.value["subjects"].as_array().into_iter().flatten() {
            let name = subject["name"].as_str().unwrap_or_default();
            if rendering.find("ServiceAccount", name).is_none() {
                wrong.push(format!("{what}: there is no ServiceAccount {name}"));
            }
            if subject["namespace"].as_str() != Some(&rendering.namespace) {
                wrong.push(format!("{what}: its subject is in namespace {}", subject["namespace"]));
            }
        }
    }
    for role in rendering.raw("Role").chain(rendering.raw("ClusterRole")) {
        let text = role.value["rules"].to_string();
        let least = ["get", "list", "watch"];
        let verbs = role.value["rules"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|rule| rule["verbs"].as_array().into_iter().flatten().filter_map(Value::as_str));
        let more: Vec<&str> = verbs.filter(|verb| !least.contains(verb)).collect();
        if text.contains('*') || !more.is_empty() {
            wrong.push(format!(
                "{} {}: more than {least:?} of what is named: {text}",
                role.kind(),
                role.name()
            ));
        }
    }
    none(&wrong)
}
