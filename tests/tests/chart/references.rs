//! Checks that every object that a manifest refers to exists.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{EnvFromSource, EnvVarSource, Service, ServicePort, Volume};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::ensure_none;
use crate::helm::Manifest;
use crate::rendering::{Rendering, Workload, selects};

/// An object that a pod uses: the object's kind and name, and a key if the pod uses only that key of the object.
type Reference = (&'static str, String, Option<String>);

/// Every `ConfigMap`, Secret, claim and service account that a pod uses is either rendered or exists before the
/// installation. An `# existing:` line in the value set names an object that exists before the installation.
pub(crate) fn pods_use_existing_objects(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    for workload in rendering.workloads()? {
        let mut references = Vec::new();
        for volume in workload.spec.volumes.iter().flatten() {
            add_volume(volume, &mut references);
        }
        for container in workload.containers() {
            let sources = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
            sources.for_each(|source| add_variable(source, &mut references));
            container.env_from.iter().flatten().for_each(|source| add_variables(source, &mut references));
        }
        for secret in workload.spec.image_pull_secrets.iter().flatten() {
            references.push(("Secret", secret.name.clone(), None));
        }
        let account = workload.spec.service_account_name.clone();
        references
            .extend(account.filter(|name| name != "default").map(|name| ("ServiceAccount", name, None)));
        for (kind, name, key) in references.iter().filter(|reference| !exists(rendering, reference)) {
            let key = key.as_ref().map_or(String::new(), |key| format!(" with key {key}"));
            problems
                .push(format!("{workload}: {kind} {name}{key} is neither rendered nor listed as existing"));
        }
        problems.extend(unknown_mounts(rendering, &workload)?);
    }
    ensure_none(&problems)
}

/// Adds the objects that a volume uses.
fn add_volume(volume: &Volume, references: &mut Vec<Reference>) {
    if let Some(map) = &volume.config_map {
        references.push(("ConfigMap", map.name.clone(), None));
        references.extend(
            map.items.iter().flatten().map(|item| ("ConfigMap", map.name.clone(), Some(item.key.clone()))),
        );
    }
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.clone().unwrap_or_default();
        references.push(("Secret", name.clone(), None));
        references.extend(
            secret.items.iter().flatten().map(|item| ("Secret", name.clone(), Some(item.key.clone()))),
        );
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        references.push(("PersistentVolumeClaim", claim.claim_name.clone(), None));
    }
    for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
        references.extend(source.config_map.iter().map(|map| ("ConfigMap", map.name.clone(), None)));
        references.extend(source.secret.iter().map(|secret| ("Secret", secret.name.clone(), None)));
    }
}

/// Adds the object that contains the value of a variable, unless the reference is optional.
fn add_variable(source: &EnvVarSource, references: &mut Vec<Reference>) {
    if let Some(key) = source.config_map_key_ref.as_ref().filter(|key| key.optional != Some(true)) {
        references.push(("ConfigMap", key.name.clone(), Some(key.key.clone())));
    }
    if let Some(key) = source.secret_key_ref.as_ref().filter(|key| key.optional != Some(true)) {
        references.push(("Secret", key.name.clone(), Some(key.key.clone())));
    }
}

/// Adds the `ConfigMap` or Secret of an `envFrom` entry. All keys of this object become environment variables of the
/// container.
fn add_variables(source: &EnvFromSource, references: &mut Vec<Reference>) {
    references.extend(source.config_map_ref.iter().map(|map| ("ConfigMap", map.name.clone(), None)));
    references.extend(source.secret_ref.iter().map(|secret| ("Secret", secret.name.clone(), None)));
}

/// Whether an object is rendered, exists before the installation, or is created by cert-manager. If the reference has a
/// key, a rendered or created object must contain the key.
fn exists(rendering: &Rendering, (kind, name, key): &Reference) -> bool {
    if rendering.existing.contains(&format!("{kind}/{name}")) {
        return true;
    }
    // cert-manager creates the secret whose name is in a Certificate. This secret has the same three keys as a secret
    // of the chart.
    let creates_it = |certificate: &Manifest| certificate.text("/spec/secretName") == name;
    if *kind == "Secret" && rendering.of_kind("Certificate").any(creates_it) {
        return key.as_ref().is_none_or(|key| ["tls.crt", "tls.key", "ca.crt"].contains(&key.as_str()));
    }
    let Some(manifest) = rendering.find(kind, name) else { return false };
    let has_key = |key: &String| {
        ["data", "stringData", "binaryData"].iter().any(|field| manifest.value[field].get(key).is_some())
    };
    key.as_ref().is_none_or(has_key)
}

/// If the workload is a `StatefulSet`, returns a message for each mount that uses neither a volume of its pods nor a
/// claim of the `StatefulSet`.
fn unknown_mounts(rendering: &Rendering, workload: &Workload) -> Result<Vec<String>> {
    let mut problems = Vec::new();
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
                problems.push(format!("{workload}: mount {} uses an unknown volume or claim", mount.name));
            }
        }
    }
    Ok(problems)
}

/// Every Service selects the pods of exactly one workload, and each port of the Service leads to a port of these pods.
/// Every `StatefulSet` has a headless Service.
pub(crate) fn services_select_one_workload(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    let workloads = rendering.workloads()?;
    for service in rendering.all::<Service>()? {
        let name = service.metadata.name.unwrap_or_default();
        let spec = service.spec.unwrap_or_default();
        let selector = LabelSelector { match_labels: spec.selector, match_expressions: None };
        let mut selected = workloads.iter().filter(|workload| selects(&selector, &workload.labels()));
        let (Some(workload), None) = (selected.next(), selected.next()) else {
            problems.push(format!("Service {name} does not select the pods of exactly one workload"));
            continue;
        };
        for port in spec.ports.iter().flatten() {
            if container_port(port, workload).is_none() {
                problems.push(format!("Service {name}: port {:?} leads to no port of {workload}", port.name));
            }
        }
    }
    for set in rendering.all::<StatefulSet>()? {
        let spec = set.spec.unwrap_or_default();
        let name = spec.service_name.unwrap_or_default();
        let headless =
            rendering.find("Service", &name).map(|service| service.text("/spec/clusterIP") == "None");
        if headless != Some(true) {
            problems.push(format!(
                "StatefulSet {:?}: the rendering contains no headless Service {name:?}",
                set.metadata.name
            ));
        }
    }
    ensure_none(&problems)
}

/// Returns the number of the container port that a Service port leads to.
pub(crate) fn container_port(port: &ServicePort, workload: &Workload) -> Option<u16> {
    let protocol = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "TCP".to_owned());
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

/// Autoscalers, disruption budgets and service monitors have a target.
pub(crate) fn scaling_and_monitoring_have_targets(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    let workloads = rendering.workloads()?;
    for scaler in rendering.all::<HorizontalPodAutoscaler>()? {
        let spec = scaler.spec.unwrap_or_default();
        let target = (spec.scale_target_ref.kind, spec.scale_target_ref.name);
        let found =
            workloads.iter().find(|workload| (&workload.kind, &workload.name) == (&target.0, &target.1));
        match found {
            None => problems.push(format!("HorizontalPodAutoscaler: there is no {} {}", target.0, target.1)),
            // If the workload also set `replicas`, each upgrade of the release would undo the autoscaler's change.
            Some(workload) if workload.replicas.is_some() => {
                problems.push(format!("{workload}: it has an autoscaler, but sets replicas itself"));
            }
            Some(_) => {}
        }
        if spec.min_replicas.is_some_and(|min| min > spec.max_replicas) {
            problems
                .push(format!("HorizontalPodAutoscaler of {}: minReplicas is above maxReplicas", target.1));
        }
    }
    for budget in rendering.all::<PodDisruptionBudget>()? {
        let name = budget.metadata.name.unwrap_or_default();
        let selector = budget.spec.unwrap_or_default().selector.unwrap_or_default();
        let count = workloads.iter().filter(|workload| selects(&selector, &workload.labels())).count();
        if count != 1 {
            problems.push(format!(
                "PodDisruptionBudget {name} selects the pods of {count} workloads instead of one"
            ));
        }
    }
    for monitor in rendering.of_kind("ServiceMonitor") {
        let labels = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
        let wanted = labels(monitor.value.pointer("/spec/selector/matchLabels"));
        let services: Vec<&Manifest> = rendering
            .of_kind("Service")
            .filter(|service| {
                let actual = labels(service.value.pointer("/metadata/labels"));
                !wanted.is_empty() && wanted.iter().all(|(key, value)| actual.get(key) == Some(value))
            })
            .collect();
        for endpoint in monitor.value["spec"]["endpoints"].as_array().into_iter().flatten() {
            let port = &endpoint["port"];
            let has_port = |service: &&&Manifest| {
                service.value["spec"]["ports"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|one| &one["name"] == port)
            };
            if services.iter().filter(has_port).count() != 1 {
                problems.push(format!(
                    "ServiceMonitor {}: it does not select exactly one Service with the port {port}",
                    monitor.name()
                ));
            }
        }
    }
    ensure_none(&problems)
}

/// Each binding grants an existing role to existing service accounts in the release's namespace. Roles allow only the
/// verbs `get`, `list` and `watch`, and contain no wildcards.
pub(crate) fn bindings_have_roles_and_accounts(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    for binding in rendering.of_kind("RoleBinding").chain(rendering.of_kind("ClusterRoleBinding")) {
        let label = format!("{} {}", binding.kind(), binding.name());
        let (kind, role) = (binding.text("/roleRef/kind"), binding.text("/roleRef/name"));
        if rendering.find(kind, role).is_none() {
            problems.push(format!("{label}: there is no {kind} {role}"));
        }
        for subject in binding.value["subjects"].as_array().into_iter().flatten() {
            let name = subject["name"].as_str().unwrap_or_default();
            if rendering.find("ServiceAccount", name).is_none() {
                problems.push(format!("{label}: there is no ServiceAccount {name}"));
            }
            if subject["namespace"].as_str() != Some(&rendering.namespace) {
                problems.push(format!("{label}: its subject is in the namespace {}", subject["namespace"]));
            }
        }
    }
    for role in rendering.of_kind("Role").chain(rendering.of_kind("ClusterRole")) {
        let text = role.value["rules"].to_string();
        let reading = ["get", "list", "watch"];
        let verbs = role.value["rules"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|rule| rule["verbs"].as_array().into_iter().flatten().filter_map(Value::as_str));
        let other: Vec<&str> = verbs.filter(|verb| !reading.contains(verb)).collect();
        if text.contains('*') || !other.is_empty() {
            problems.push(format!(
                "{} {}: it allows more than {reading:?}, or it has a wildcard: {text}",
                role.kind(),
                role.name()
            ));
        }
    }
    ensure_none(&problems)
}
