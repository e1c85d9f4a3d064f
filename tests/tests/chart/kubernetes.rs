//! Whether Kubernetes would know every field: each manifest goes through the type of its kind and has to come back whole.
//!
//! No schema is fetched. A cluster checks more (`server.rs`), but every `make test` has this.

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

use crate::case::{Rendering, show, typed};
use crate::helm::Manifest;

/// Kinds that other programs bring, of which nothing here knows the fields.
pub(crate) const FOREIGN: [(&str, &str); 3] = [
    ("cert-manager.io/v1", "Certificate"),
    ("cert-manager.io/v1", "Issuer"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
];

pub(crate) fn every_field_is_known(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    for manifest in &rendering.manifests {
        if let Err(error) = check(manifest) {
            wrong.push(format!(
                "{} {} from {}: {error:#}",
                manifest.kind(),
                manifest.name(),
                manifest.source
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn check(manifest: &Manifest) -> Result<()> {
    let kinds = [
        known::<ConfigMap>,
        known::<Secret>,
        known::<Service>,
        known::<ServiceAccount>,
        known::<PersistentVolumeClaim>,
        known::<Pod>,
        known::<Deployment>,
        known::<StatefulSet>,
        known::<DaemonSet>,
        known::<Job>,
        known::<CronJob>,
        known::<HorizontalPodAutoscaler>,
        known::<PodDisruptionBudget>,
        known::<NetworkPolicy>,
        known::<Ingress>,
        known::<Role>,
        known::<RoleBinding>,
        known::<ClusterRole>,
        known::<ClusterRoleBinding>,
    ];
    if let Some(checked) = kinds.iter().find_map(|known| known(manifest)) {
        return checked;
    }
    let (version, kind) = (manifest.text("/apiVersion"), manifest.kind());
    ensure!(FOREIGN.contains(&(version, kind)), "{version} {kind} is no kind this test knows");
    Ok(())
}

/// Nothing if the manifest is of another kind.
fn known<T: Resource + DeserializeOwned + Serialize>(manifest: &Manifest) -> Option<Result<()>> {
    let same = manifest.kind() == T::KIND && manifest.text("/apiVersion") == T::API_VERSION;
    same.then(|| {
        let back = serde_json::to_value(typed::<T>(manifest)?).context("cannot be written again")?;
        lost(&manifest.value, Some(&back), "")
    })
}

/// Fails at the first field that did not come back.
fn lost(given: &Value, back: Option<&Value>, path: &str) -> Result<()> {
    match (given, back) {
        // What is null was not set.
        (Value::Null, _) => Ok(()),
        (Value::Object(fields), Some(Value::Object(kept))) => {
            fields.iter().try_for_each(|(key, value)| lost(value, kept.get(key), &format!("{path}.{key}")))
        }
        (Value::Array(items), Some(Value::Array(kept))) if items.len() == kept.len() => {
            let mut pairs = items.iter().zip(kept).enumerate();
            pairs.try_for_each(|(index, (item, kept))| lost(item, Some(kept), &format!("{path}[{index}]")))
        }
        (given, Some(back)) if given == back => Ok(()),
        // An empty map or list may be left out.
        (Value::Object(fields), None) if fields.is_empty() => Ok(()),
        (Value::Array(items), None) if items.is_empty() => Ok(()),
        (given, back) => {
            bail!("{path} is not a field, or not of this kind: {given} came back as {}", show(back))
        }
    }
}
