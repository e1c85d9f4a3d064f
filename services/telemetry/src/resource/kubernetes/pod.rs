//! This pod's own object: whether it is this pod's, what it tells, and what leads on from it.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::ResourceExt;
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute;

use super::api::{Api, Question};
use super::container::{self, Found};
use super::known::{Known, PodName};
use super::missing::Gap;
use super::owners;

const OF_THE_POD: &str =
    "k8s.pod.*, k8s.node.*, the pod's owners, k8s.container.restart_count, container.image.*";
const OF_THE_CONTAINER: &str = "k8s.container.restart_count, container.id, container.image.*";
const DECLARE: &str = "set k8s.pod.name and k8s.pod.uid in OTEL_RESOURCE_ATTRIBUTES from the downward API";

const POD: Question = Question { resource: "pods", attributes: OF_THE_POD, if_absent: Some(DECLARE) };
const NODE: Question = Question { resource: "nodes", attributes: "k8s.node.uid", if_absent: None };
const NAMESPACE: Question =
    Question { resource: "namespaces", attributes: "k8s.cluster.uid", if_absent: None };

/// Between two looks at a status that is not there yet. A kubelet reports about once a second.
const PAUSE: Duration = Duration::from_millis(250);

/// Asks the API server for all that it can tell of this pod.
pub(super) async fn ask(api: Api, known: Known) {
    let cluster = cluster(&api);
    let pod = async {
        let pod = ours(&api, &known).await;
        let node = pod.as_ref().and_then(|pod| pod.spec.as_ref()?.node_name.clone()).or(known.node.clone());
        let of_pod = async {
            let Some(pod) = pod else { return };
            let namespace = pod.namespace().unwrap_or_default();
            let owner = owners::controller(&pod.metadata);
            tokio::join!(owners::tell(&api, &namespace, owner), container(&api, &known, pod));
        };
        tokio::join!(of_pod, of_node(&api, node));
    };
    tokio::join!(cluster, pod);
}

/// The convention takes the namespace that every cluster has for as long as it lives.
async fn cluster(api: &Api) {
    let name = "kube-system";
    let namespaces = kube::Api::<Namespace>::all(api.client());
    if let Some(namespace) = api.ask(&NAMESPACE, name, namespaces.get_metadata(name)).await {
        api.tell(namespace.metadata.uid.map(|uid| KeyValue::new(attribute::K8S_CLUSTER_UID, uid)));
    }
}

async fn of_node(api: &Api, name: Option<String>) {
    let Some(name) = name else { return };
    let nodes = kube::Api::<Node>::all(api.client());
    if let Some(node) = api.ask(&NODE, &name, nodes.get_metadata(&name)).await {
        api.tell(node.metadata.uid.map(|uid| KeyValue::new(attribute::K8S_NODE_UID, uid)));
    }
}

/// This pod, and only this: what another pod's object says must not be told.
async fn ours(api: &Api, known: &Known) -> Option<Pod> {
    let Known { namespace: Some(namespace), pod_name: Some(name), .. } = known else {
        let why = "the pod's name or namespace is not known".to_owned();
        let remedy =
            "set k8s.pod.name and k8s.namespace.name in OTEL_RESOURCE_ATTRIBUTES from the downward API";
        api.miss(Gap { attributes: OF_THE_POD, why, remedy: Some(remedy.into()) });
        return None;
    };
    let name = name.as_str();
    let pods = kube::Api::<Pod>::namespaced(api.client(), namespace);
    loop {
        let pod = api.ask(&POD, name, pods.get(name)).await?;
        match identity(&pod, known) {
            Identity::Ours => return Some(pod),
            Identity::NotYet if api.left() > PAUSE => tokio::time::sleep(PAUSE).await,
            Identity::NotYet | Identity::Other => {
                let why = format!("the pod {namespace}/{name} is not known to be this one");
                api.miss(Gap { attributes: OF_THE_POD, why, remedy: Some(DECLARE.into()) });
                return None;
            }
        }
    }
}

/// Whose object it is.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    Ours,
    Other,
    /// It has no address yet to tell by.
    NotYet,
}

fn identity(pod: &Pod, known: &Known) -> Identity {
    if let Some(uid) = &known.pod_uid {
        return if pod.metadata.uid.as_ref() == Some(uid) { Identity::Ours } else { Identity::Other };
    }
    // On the host's network a pod has its node's name and address, and so have others beside it.
    let on_host = pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
    if on_host && matches!(known.pod_name, Some(PodName::Guessed(_))) {
        return Identity::Other;
    }
    let mut addresses = addresses(pod).peekable();
    if addresses.peek().is_none() {
        return Identity::NotYet;
    }
    if addresses.any(|address| known.addresses.contains(&address)) { Identity::Ours } else { Identity::Other }
}

/// One of each family in a dual-stack cluster.
fn addresses(pod: &Pod) -> impl Iterator<Item = IpAddr> {
    let status = pod.status.as_ref();
    let several = status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten().map(|ip| &ip.ip);
    several.chain(status.and_then(|status| status.pod_ip.as_ref())).filter_map(|ip| ip.parse().ok())
}

/// Tells what the pod says, and looks again until it says all, or the time is over.
async fn container(api: &Api, known: &Known, mut pod: Pod) {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let pods = kube::Api::<Pod>::namespaced(api.client(), &namespace);
    loop {
        api.tell(attributes(&pod));
        let why = match container::find(&pod, known) {
            Found::ThisRun(status) => {
                api.tell(container::attributes(status));
                return;
            }
            Found::NotYet(container) => {
                api.tell(container.map(|name| KeyValue::new(attribute::K8S_CONTAINER_NAME, name.to_owned())));
                format!(
                    "pod {name} did not report this run of its container within {} s",
                    api.budget().as_secs()
                )
            }
            Found::Unknown => {
                let why = format!("it cannot be told which container of pod {name} this is");
                let remedy = "set k8s.container.name in OTEL_RESOURCE_ATTRIBUTES to the container's name";
                api.miss(Gap { attributes: OF_THE_CONTAINER, why, remedy: Some(remedy.into()) });
                return;
            }
        };
        if api.left() <= PAUSE {
            api.miss(Gap { attributes: OF_THE_CONTAINER, why, remedy: None });
            return;
        }
        tokio::time::sleep(PAUSE).await;
        let Some(again) = api.ask(&POD, &name, pods.get(&name)).await else { return };
        if again.metadata.uid != pod.metadata.uid {
            return;
        }
        pod = again;
    }
}

fn attributes(pod: &Pod) -> Vec<KeyValue> {
    let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
    let start = status.and_then(|status| status.start_time.as_ref()).map(|time| time.0.to_string());
    [
        (attribute::K8S_POD_NAME, pod.metadata.name.clone()),
        (attribute::K8S_POD_UID, pod.metadata.uid.clone()),
        (attribute::K8S_NAMESPACE_NAME, pod.metadata.namespace.clone()),
        (attribute::K8S_POD_IP, status.and_then(|status| status.pod_ip.clone())),
        (attribute::K8S_POD_START_TIME, start),
        // Only what the specification says: elsewhere it is the pod's name.
        (attribute::K8S_POD_HOSTNAME, spec.and_then(|spec| spec.hostname.clone())),
        (attribute::K8S_NODE_NAME, spec.and_then(|spec| spec.node_name.clone())),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some(KeyValue::new(key, value?)))
    .collect()
}
