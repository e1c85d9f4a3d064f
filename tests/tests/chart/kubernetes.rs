//! Checks that Kubernetes knows every field of each manifest. The check decodes a manifest as its Kubernetes type,
//! encodes it again and fails if a field was lost.
//!
//! This check needs no schemas from the network. `server.rs` checks more, but needs the API server of a cluster.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ensure_none;
use crate::helm::Manifest;
use crate::rendering::{Rendering, decode, show};

/// The kinds of custom resources in the chart. The fields of custom resources are not checked.
const CUSTOM_RESOURCES: [(&str, &str); 3] = [
    ("cert-manager.io/v1", "Certificate"),
    ("cert-manager.io/v1", "Issuer"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
];

pub(crate) fn every_field_is_known(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    for manifest in &rendering.manifests {
        if let Err(error) = check(manifest) {
            problems.push(format!("{manifest}: {error:#}"));
        }
    }
    ensure_none(&problems)
}

fn check(manifest: &Manifest) -> Result<()> {
    let checks = [
        check_as::<ConfigMap>,
        check_as::<Secret>,
        check_as::<Service>,
        check_as::<ServiceAccount>,
        check_as::<PersistentVolumeClaim>,
        check_as::<Pod>,
        check_as::<Deployment>,
        check_as::<StatefulSet>,
        check_as::<DaemonSet>,
        check_as::<Job>,
        check_as::<CronJob>,
        check_as::<HorizontalPodAutoscaler>,
        check_as::<PodDisruptionBudget>,
        check_as::<NetworkPolicy>,
        check_as::<Ingress>,
        check_as::<Role>,
        check_as::<RoleBinding>,
        check_as::<ClusterRole>,
        check_as::<ClusterRoleBinding>,
    ];
    if let Some(result) = checks.iter().find_map(|check_as| check_as(manifest)) {
        return result;
    }
    let (version, kind) = (manifest.text("/apiVersion"), manifest.kind());
    ensure!(CUSTOM_RESOURCES.contains(&(version, kind)), "this test does not know the kind {version} {kind}");
    Ok(())
}

/// Checks a manifest of kind `T`. Returns `None` for a manifest of another kind.
fn check_as<T: Resource + DeserializeOwned + Serialize>(manifest: &Manifest) -> Option<Result<()>> {
    let same_type = manifest.kind() == T::KIND && manifest.text("/apiVersion") == T::API_VERSION;
    same_type.then(|| {
        let encoded = serde_json::to_value(decode::<T>(manifest)?).context("cannot be encoded again")?;
        compare(&manifest.value, Some(&encoded), "")
    })
}

/// Fails at the first field of `original` that is missing or different in `encoded`.
fn compare(original: &Value, encoded: Option<&Value>, path: &str) -> Result<()> {
    match (original, encoded) {
        // A null field is the same as a missing field.
        (Value::Null, _) => Ok(()),
        (Value::Object(fields), Some(Value::Object(encoded))) => fields
            .iter()
            .try_for_each(|(key, value)| compare(value, encoded.get(key), &format!("{path}.{key}"))),
        (Value::Array(items), Some(Value::Array(encoded))) if items.len() == encoded.len() => {
            let mut pairs = items.iter().zip(encoded).enumerate();
            pairs.try_for_each(|(index, (item, encoded))| {
                compare(item, Some(encoded), &format!("{path}[{index}]"))
            })
        }
        (original, Some(encoded)) if original == encoded => Ok(()),
        // The encoder can omit an empty map or list.
        (Value::Object(fields), None) if fields.is_empty() => Ok(()),
        (Value::Array(items), None) if items.is_empty() => Ok(()),
        (original, encoded) => {
            bail!("{path} is not a field, or has the wrong type: {original} became {}", show(encoded))
        }
    }
}
