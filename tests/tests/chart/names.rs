//! Names and labels: by which people, Services and later versions of the chart find things.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::Value;

use crate::case::{Case, Rendering, selects, show};
use crate::helm::{self, Install, Manifest};

/// Of what a selector may be made: what stays the same from one version of the chart to the next.
const LASTING: [&str; 3] =
    ["app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"];

/// No two of a kind have one name, and each is a name everywhere Kubernetes uses it: as a label, and in DNS.
pub(crate) fn unique(rendering: &Rendering) -> Result<()> {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for manifest in &rendering.manifests {
        let (kind, name) = (manifest.kind(), manifest.name());
        let namespace = manifest.text("/metadata/namespace");
        if !namespace.is_empty() && namespace != rendering.namespace {
            wrong.push(format!("{kind} {name} goes to namespace {namespace}, not {}", rendering.namespace));
        }
        if !seen.insert((kind, name)) {
            wrong.push(format!("{kind} {name} is there twice"));
        }
        // A StatefulSet's pods carry its name and a hash of eleven in a label.
        let longest = if kind == "StatefulSet" { 52 } else { 63 };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edges = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if name.len() > longest
            || !name.chars().all(plain)
            || !name.starts_with(edges)
            || !name.ends_with(edges)
        {
            wrong
                .push(format!("{kind} {name:?} ({} long) is not a DNS label of up to {longest}", name.len()));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What is of the whole cluster must not meet that of a release of the same name in another namespace.
pub(crate) fn of_the_cluster(case: &Case) -> Result<()> {
    let elsewhere = helm::template(&case.chart(), Install { namespace: "another", ..case.install() })?;
    let rendering = case.rendering()?;
    let whole = |manifest: &&Manifest| manifest.kind().starts_with("Cluster");
    let shared: Vec<&str> = elsewhere
        .iter()
        .filter(whole)
        .filter(|other| rendering.find(other.kind(), other.name()).is_some())
        .map(Manifest::name)
        .collect();
    ensure!(shared.is_empty(), "the same in every namespace: {shared:?}");
    Ok(())
}

/// The labels that Kubernetes recommends, on everything and on pods.
pub(crate) fn labels(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    for manifest in &rendering.manifests {
        let labels = manifest.value.pointer("/metadata/labels");
        let what = format!("{} {} from {}", manifest.kind(), manifest.name(), manifest.source);
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        for key in ["name", "instance", "version", "component", "part-of"] {
            if label(&format!("app.kubernetes.io/{key}")).is_none_or(str::is_empty) {
                wrong.push(format!("{what}: no label app.kubernetes.io/{key}"));
            }
        }
        for (key, expected) in [
            ("app.kubernetes.io/managed-by", "Helm"),
            ("app.kubernetes.io/instance", rendering.release.as_str()),
        ] {
            if label(key) != Some(expected) {
                wrong.push(format!("{what}: label {key} is {:?}, not {expected}", label(key)));
            }
        }
        if label("helm.sh/chart").is_none_or(str::is_empty) {
            wrong.push(format!("{what}: no label helm.sh/chart"));
        }
        let too_long = |(key, value): (&String, &Value)| {
            let length = value.as_str().map_or(0, str::len);
            (length > 63).then(|| format!("{what}: label {key} is {length} long"))
        };
        wrong.extend(labels.and_then(Value::as_object).into_iter().flatten().filter_map(too_long));
    }
    for workload in rendering.workloads()? {
        let labels = workload.metadata.labels.clone().unwrap_or_default();
        for key in LASTING.into_iter().chain(["app.kubernetes.io/version", "app.kubernetes.io/part-of"]) {
            if !labels.contains_key(key) {
                wrong.push(format!("{workload}: its pods have no label {key}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Selectors cannot be changed later, nor can a `StatefulSet`'s claims: nothing in them may change with the version.
/// And no workload's selector takes pods of another.
pub(crate) fn selectors(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    let workloads = rendering.workloads()?;
    for workload in &workloads {
        let Some(selector) = &workload.selector else { continue };
        let keys: Vec<&String> = selector.match_labels.iter().flat_map(BTreeMap::keys).collect();
        if keys.is_empty() || !keys.iter().all(|key| LASTING.contains(&key.as_str())) {
            wrong.push(format!("{workload}: it selects by {keys:?}, which are not {LASTING:?}"));
        }
        for other in &workloads {
            let taken = selects(selector, &other.metadata.labels.clone().unwrap_or_default());
            let own = (&workload.kind, &workload.name) == (&other.kind, &other.name);
            if taken != own {
                let verb = if taken { "takes" } else { "does not take" };
                wrong.push(format!("{workload}: its selector {verb} the pods of {other}"));
            }
        }
    }
    for set in rendering.all::<StatefulSet>()? {
        let spec = set.spec.unwrap_or_default();
        for claim in spec.volume_claim_templates.iter().flatten() {
            let labels = claim.metadata.labels.iter().flat_map(BTreeMap::keys);
            let passing: Vec<&String> = labels.filter(|key| !LASTING.contains(&key.as_str())).collect();
            if !passing.is_empty() {
                wrong.push(format!("a claim of StatefulSet {:?} is labelled {passing:?}", set.metadata.name));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A pod starts anew when what it read at its start has changed.
pub(crate) fn checksums(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    for workload in rendering.workloads()? {
        let volumes = workload.spec.volumes.iter().flatten();
        let configured = volumes.clone().any(|volume| volume.config_map.is_some());
        let annotations = workload.metadata.annotations.clone().unwrap_or_default();
        let sums: Vec<&String> = annotations.keys().filter(|key| key.starts_with("checksum/")).collect();
        if workload.selector.is_some() && configured && sums.is_empty() {
            wrong.push(format!("{workload}: it mounts a ConfigMap and has no checksum annotation"));
        }
        for (key, sum) in annotations.iter().filter(|(key, _)| key.starts_with("checksum/")) {
            if sum.len() != 64 || !sum.chars().all(|c| c.is_ascii_hexdigit()) {
                wrong.push(format!("{workload}: {key} is {}", show(Some(&Value::from(sum.as_str())))));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
