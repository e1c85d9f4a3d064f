//! The chain of a pod's owners, up to its workload.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/resource/k8s/>.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute;
use serde::de::DeserializeOwned;

use super::api::{Api, Lookup};

/// A kind of owner for which the semantic conventions define attributes.
struct Kind {
    group: &'static str,
    name: &'static str,
    attributes: [&'static str; 2],
}

const KINDS: [Kind; 6] = [
    Kind {
        group: "apps",
        name: "Deployment",
        attributes: [attribute::K8S_DEPLOYMENT_NAME, attribute::K8S_DEPLOYMENT_UID],
    },
    Kind {
        group: "apps",
        name: "ReplicaSet",
        attributes: [attribute::K8S_REPLICASET_NAME, attribute::K8S_REPLICASET_UID],
    },
    Kind {
        group: "apps",
        name: "StatefulSet",
        attributes: [attribute::K8S_STATEFULSET_NAME, attribute::K8S_STATEFULSET_UID],
    },
    Kind {
        group: "apps",
        name: "DaemonSet",
        attributes: [attribute::K8S_DAEMONSET_NAME, attribute::K8S_DAEMONSET_UID],
    },
    Kind { group: "batch", name: "Job", attributes: [attribute::K8S_JOB_NAME, attribute::K8S_JOB_UID] },
    Kind {
        group: "batch",
        name: "CronJob",
        attributes: [attribute::K8S_CRONJOB_NAME, attribute::K8S_CRONJOB_UID],
    },
];

/// Reports `owner`, then the owner of `owner`, and so on. The chain ends at an owner whose kind has no attributes or
/// usually has no owner, or at an owner that no longer exists.
pub(super) async fn report(api: &Api, namespace: &str, owner: Option<OwnerReference>) {
    let mut next = owner;
    while let Some(owner) = next {
        let Some(kind) = KINDS.iter().find(|kind| kind.is_of(&owner)) else { return };
        let [name, uid] = kind.attributes;
        api.report([KeyValue::new(name, owner.name.clone()), KeyValue::new(uid, owner.uid.clone())]);
        // Kinds other than ReplicaSet and Job usually have no owner.
        next = match kind.name {
            "ReplicaSet" => owner_of::<ReplicaSet>(api, namespace, &owner, &REPLICA_SET).await,
            "Job" => owner_of::<Job>(api, namespace, &owner, &JOB).await,
            _ => return,
        };
    }
}

const REPLICA_SET: Lookup =
    Lookup { resource: "replicasets.apps", attributes: "k8s.deployment.*", remedy_if_absent: None };
const JOB: Lookup = Lookup { resource: "jobs.batch", attributes: "k8s.cronjob.*", remedy_if_absent: None };

/// Fetches the object of `owner` and returns that object's controller. Returns `None` if there is no controller, if the
/// request fails, or if another object now has the owner's name.
async fn owner_of<K>(
    api: &Api,
    namespace: &str,
    owner: &OwnerReference,
    lookup: &Lookup,
) -> Option<OwnerReference>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let objects = kube::Api::<K>::namespaced(api.client(), namespace);
    let object = api.fetch(lookup, &owner.name, objects.get_metadata(&owner.name)).await?;
    object.metadata.uid.as_deref().filter(|uid| *uid == owner.uid)?;
    controller(&object.metadata)
}

/// The owner that manages an object. Other owners matter only for garbage collection.
pub(super) fn controller(metadata: &ObjectMeta) -> Option<OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true)).cloned()
}

impl Kind {
    fn is_of(&self, owner: &OwnerReference) -> bool {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        owner.kind == self.name && group == self.group
    }
}
