//! Looks up the attributes of this pod, starting with the pod's object.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::ResourceExt;
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute;

use super::api::{Api, Lookup};
use super::container::{self, Found};
use super::known::{Known, PodName};
use super::missing::Gap;
use super::owners;

const POD_ATTRIBUTES: &str =
    "k8s.pod.*, k8s.node.*, the pod's owners, k8s.container.restart_count, container.image.*";
const CONTAINER_ATTRIBUTES: &str = "k8s.container.restart_count, container.id, container.image.*";
const POD_REMEDY: &str = "set k8s.pod.name and k8s.pod.uid in OTEL_RESOURCE_ATTRIBUTES from the downward API";

const POD: Lookup =
    Lookup { resource: "pods", attributes: POD_ATTRIBUTES, remedy_if_absent: Some(POD_REMEDY) };
const NODE: Lookup = Lookup { resource: "nodes", attributes: "k8s.node.uid", remedy_if_absent: None };
const NAMESPACE: Lookup =
    Lookup { resource: "namespaces", attributes: "k8s.cluster.uid", remedy_if_absent: None };

/// The time between two requests for a status that is not yet complete. A kubelet reports a status about once a second.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Looks up and reports all attributes of this pod.
pub(super) async fn look_up(api: Api, known: Known) {
    let cluster = report_cluster(&api);
    let pod = async {
        let pod = find_pod(&api, &known).await;
        let node = pod.as_ref().and_then(|pod| pod.spec.as_ref()?.node_name.clone()).or(known.node.clone());
        let of_pod = async {
            let Some(pod) = pod else { return };
            let namespace = pod.namespace().unwrap_or_default();
            let owner = owners::controller(&pod.metadata);
            tokio::join!(owners::report(&api, &namespace, owner), report_pod(&api, &known, pod));
        };
        tokio::join!(of_pod, report_node(&api, node));
    };
    tokio::join!(cluster, pod);
}

/// Reports the UID of the cluster, which the semantic conventions define as the UID of the `kube-system` namespace.
async fn report_cluster(api: &Api) {
    let name = "kube-system";
    let namespaces = kube::Api::<Namespace>::all(api.client());
    if let Some(namespace) = api.fetch(&NAMESPACE, name, namespaces.get_metadata(name)).await {
        api.report(namespace.metadata.uid.map(|uid| KeyValue::new(attribute::K8S_CLUSTER_UID, uid)));
    }
}

async fn report_node(api: &Api, name: Option<String>) {
    let Some(name) = name else { return };
    let nodes = kube::Api::<Node>::all(api.client());
    if let Some(node) = api.fetch(&NODE, &name, nodes.get_metadata(&name)).await {
        api.report(node.metadata.uid.map(|uid| KeyValue::new(attribute::K8S_NODE_UID, uid)));
    }
}

/// Fetches the object of this pod. Returns `None` if it is not certain that the object belongs to this pod.
async fn find_pod(api: &Api, known: &Known) -> Option<Pod> {
    let Known { namespace: Some(namespace), pod_name: Some(name), .. } = known else {
        let reason = "the name or the namespace of the pod is not known".to_owned();
        let remedy =
            "set k8s.pod.name and k8s.namespace.name in OTEL_RESOURCE_ATTRIBUTES from the downward API";
        api.report_gap(Gap { attributes: POD_ATTRIBUTES, reason, remedy: Some(remedy.into()) });
        return None;
    };
    let name = name.as_str();
    let pods = kube::Api::<Pod>::namespaced(api.client(), namespace);
    loop {
        let pod = api.fetch(&POD, name, pods.get(name)).await?;
        match identity(&pod, known) {
            Identity::ThisPod => return Some(pod),
            Identity::NotYetKnown if api.remaining() > POLL_INTERVAL => {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Identity::NotYetKnown | Identity::OtherPod => {
                let reason = format!("it is not certain that the pod {namespace}/{name} is this pod");
                api.report_gap(Gap { attributes: POD_ATTRIBUTES, reason, remedy: Some(POD_REMEDY.into()) });
                return None;
            }
        }
    }
}

/// Whether a pod's object belongs to this pod.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    ThisPod,
    OtherPod,
    /// The object has no IP address yet, so it cannot be compared with this pod's addresses.
    NotYetKnown,
}

fn identity(pod: &Pod, known: &Known) -> Identity {
    if let Some(uid) = &known.pod_uid {
        return if pod.metadata.uid.as_ref() == Some(uid) { Identity::ThisPod } else { Identity::OtherPod };
    }
    // With `hostNetwork`, a pod has the host name and the address of its node, and so do the node's other pods with
    // `hostNetwork`. So a guessed name does not identify this pod.
    let on_host = pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
    if on_host && matches!(known.pod_name, Some(PodName::Guessed(_))) {
        return Identity::OtherPod;
    }
    let mut addresses = addresses(pod).peekable();
    if addresses.peek().is_none() {
        return Identity::NotYetKnown;
    }
    if addresses.any(|address| known.addresses.contains(&address)) {
        Identity::ThisPod
    } else {
        Identity::OtherPod
    }
}

/// The IP addresses of a pod. In a dual-stack cluster, a pod has an IPv4 address and an IPv6 address.
fn addresses(pod: &Pod) -> impl Iterator<Item = IpAddr> {
    let status = pod.status.as_ref();
    let several = status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten().map(|ip| &ip.ip);
    several.chain(status.and_then(|status| status.pod_ip.as_ref())).filter_map(|ip| ip.parse().ok())
}

/// Reports the attributes of the pod and of this container. Polls until the container's status is complete or the
/// time for requests is over.
async fn report_pod(api: &Api, known: &Known, mut pod: Pod) {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let pods = kube::Api::<Pod>::namespaced(api.client(), &namespace);
    loop {
        api.report(attributes(&pod));
        let reason = match container::find(&pod, known) {
            Found::ThisRun(status) => {
                api.report(container::attributes(status));
                return;
            }
            Found::NotYet(container) => {
                api.report(
                    container.map(|name| KeyValue::new(attribute::K8S_CONTAINER_NAME, name.to_owned())),
                );
                format!(
                    "the status of pod {name} did not include this run of its container within {} s",
                    api.timeout().as_secs()
                )
            }
            Found::Unknown => {
                let reason = format!("it is not known which container of pod {name} this is");
                let remedy = "set k8s.container.name in OTEL_RESOURCE_ATTRIBUTES to the container's name";
                api.report_gap(Gap { attributes: CONTAINER_ATTRIBUTES, reason, remedy: Some(remedy.into()) });
                return;
            }
        };
        if api.remaining() <= POLL_INTERVAL {
            api.report_gap(Gap { attributes: CONTAINER_ATTRIBUTES, reason, remedy: None });
            return;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        let Some(again) = api.fetch(&POD, &name, pods.get(&name)).await else { return };
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
        // This attribute is set only if the pod's specification sets a host name. Otherwise the host name is the pod's
        // name.
        (attribute::K8S_POD_HOSTNAME, spec.and_then(|spec| spec.hostname.clone())),
        (attribute::K8S_NODE_NAME, spec.and_then(|spec| spec.node_name.clone())),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some(KeyValue::new(key, value?)))
    .collect()
}
