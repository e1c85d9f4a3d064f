//! Checks of the names and labels that operators, Services and later versions of the chart use to find objects.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::Value;

use crate::ensure_none;
use crate::helm::{self, Install, Manifest};
use crate::rendering::{Rendering, selects, show};
use crate::value_set::ValueSet;

/// The labels whose values stay the same in every version of the chart. Selectors can use only these labels.
const STABLE_LABELS: [&str; 3] =
    ["app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"];

/// No two objects of the same kind have the same name. Each name is also a valid DNS label and a valid label value. All
/// namespaced objects are in the release's namespace.
pub(crate) fn are_unique_dns_labels(rendering: &Rendering) -> Result<()> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for manifest in &rendering.manifests {
        let (kind, name) = (manifest.kind(), manifest.name());
        let namespace = manifest.text("/metadata/namespace");
        if !namespace.is_empty() && namespace != rendering.namespace {
            problems.push(format!(
                "{kind} {name} is in the namespace {namespace}, not in {}",
                rendering.namespace
            ));
        }
        // A hook that deletes an object when the release is uninstalled has the name of that object.
        let hook = manifest.text("/metadata/annotations/helm.sh~1hook");
        if hook != "post-delete" && !seen.insert((kind, name)) {
            problems.push(format!("two objects have the kind {kind} and the name {name}"));
        }
        // The pods of a StatefulSet have a label that consists of the StatefulSet's name, a hyphen and a hash. The
        // hyphen and the hash add 11 characters to the name.
        let longest = if kind == "StatefulSet" { 52 } else { 63 };
        let valid_inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid_at_ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if name.len() > longest
            || !name.chars().all(valid_inside)
            || !name.starts_with(valid_at_ends)
            || !name.ends_with(valid_at_ends)
        {
            problems.push(format!(
                "{kind} {name:?} ({} characters) is not a DNS label of at most {longest} characters",
                name.len()
            ));
        }
    }
    ensure_none(&problems)
}

/// Two releases with the same name in different namespaces do not share a cluster-scoped object.
pub(crate) fn cluster_scoped_names_differ_by_namespace(set: &ValueSet) -> Result<()> {
    if set.namespace_override().is_some() {
        return Ok(());
    }
    let other = helm::template(&set.chart(), Install { namespace: "another", ..set.install() })?;
    let rendering = set.rendering()?;
    let cluster_scoped = |manifest: &&Manifest| manifest.kind().starts_with("Cluster");
    let shared: Vec<&str> = other
        .iter()
        .filter(cluster_scoped)
        .filter(|other| rendering.find(other.kind(), other.name()).is_some())
        .map(Manifest::name)
        .collect();
    ensure!(shared.is_empty(), "these names are the same in every namespace: {shared:?}");
    Ok(())
}

/// All objects have the labels that Kubernetes and Helm recommend. Pods have the labels that selectors use, and the
/// labels `version` and `part-of`.
pub(crate) fn recommended_labels_are_set(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    for manifest in &rendering.manifests {
        let labels = manifest.value.pointer("/metadata/labels");
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        for key in ["name", "instance", "version", "component", "part-of"] {
            if label(&format!("app.kubernetes.io/{key}")).is_none_or(str::is_empty) {
                problems.push(format!("{manifest}: no label app.kubernetes.io/{key}"));
            }
        }
        for (key, expected) in [
            ("app.kubernetes.io/managed-by", "Helm"),
            ("app.kubernetes.io/instance", rendering.release.as_str()),
        ] {
            if label(key) != Some(expected) {
                problems.push(format!("{manifest}: label {key} is {:?}, not {expected}", label(key)));
            }
        }
        if label("helm.sh/chart").is_none_or(str::is_empty) {
            problems.push(format!("{manifest}: no label helm.sh/chart"));
        }
        let too_long = |(key, value): (&String, &Value)| {
            let length = value.as_str().map_or(0, str::len);
            (length > 63).then(|| format!("{manifest}: label {key} has {length} characters, more than 63"))
        };
        problems.extend(labels.and_then(Value::as_object).into_iter().flatten().filter_map(too_long));
    }
    for workload in rendering.workloads()? {
        let labels = workload.labels();
        for key in STABLE_LABELS.into_iter().chain(["app.kubernetes.io/version", "app.kubernetes.io/part-of"])
        {
            if !labels.contains_key(key) {
                problems.push(format!("{workload}: its pods have no label {key}"));
            }
        }
    }
    ensure_none(&problems)
}

/// The selector of a workload matches the workload's own pods and no others. Kubernetes does not allow updates of a
/// workload's selector or of a `StatefulSet`'s claims, so selectors and claims use only [`STABLE_LABELS`].
pub(crate) fn selectors_match_their_own_pods(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    let workloads = rendering.workloads()?;
    for workload in &workloads {
        let Some(selector) = &workload.selector else { continue };
        let keys: Vec<&String> = selector.match_labels.iter().flat_map(BTreeMap::keys).collect();
        if keys.is_empty() || !keys.iter().all(|key| STABLE_LABELS.contains(&key.as_str())) {
            problems
                .push(format!("{workload}: its selector uses {keys:?}, but can use only {STABLE_LABELS:?}"));
        }
        for other in &workloads {
            let matches = selects(selector, &other.labels());
            let own = (&workload.kind, &workload.name) == (&other.kind, &other.name);
            if matches != own {
                let verb = if matches { "matches" } else { "does not match" };
                problems.push(format!("{workload}: its selector {verb} the pods of {other}"));
            }
        }
    }
    for set in rendering.all::<StatefulSet>()? {
        let spec = set.spec.unwrap_or_default();
        for claim in spec.volume_claim_templates.iter().flatten() {
            let labels = claim.metadata.labels.iter().flat_map(BTreeMap::keys);
            let changing: Vec<&String> =
                labels.filter(|key| !STABLE_LABELS.contains(&key.as_str())).collect();
            if !changing.is_empty() {
                problems.push(format!(
                    "a claim of StatefulSet {:?} has the labels {changing:?}, which are not among {STABLE_LABELS:?}",
                    set.metadata.name
                ));
            }
        }
    }
    ensure_none(&problems)
}

/// A program reads its `ConfigMap` only at startup. So a pod that mounts a `ConfigMap` has an annotation with the
/// checksum of the `ConfigMap`, and a change to the `ConfigMap` replaces the pod.
pub(crate) fn configuration_changes_restart_pods(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    for workload in rendering.workloads()? {
        let volumes = workload.spec.volumes.iter().flatten();
        let configured = volumes.clone().any(|volume| volume.config_map.is_some());
        let annotations = workload.metadata.annotations.clone().unwrap_or_default();
        let checksums: Vec<&String> = annotations.keys().filter(|key| key.starts_with("checksum/")).collect();
        if workload.selector.is_some() && configured && checksums.is_empty() {
            problems.push(format!("{workload}: it mounts a ConfigMap and has no checksum annotation"));
        }
        for (key, checksum) in annotations.iter().filter(|(key, _)| key.starts_with("checksum/")) {
            if checksum.len() != 64 || !checksum.chars().all(|c| c.is_ascii_hexdigit()) {
                let checksum = show(Some(&Value::from(checksum.as_str())));
                problems.push(format!("{workload}: {key} is {checksum}, not 64 hexadecimal digits"));
            }
        }
    }
    ensure_none(&problems)
}
