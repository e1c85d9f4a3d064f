//! Tests of the detector against a fake API server.

mod fake_api;
mod races;

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::api::TIMEOUT;
use super::known::PodName;
use super::missing::Gap;
use super::*;
use crate::testing::{Attributes, attributes, expected};
use fake_api::{FakeApi, FakeResponse, other_ca_pem, write_service_account};

const UID: &str = "0a1b2c3d-0000-1111-2222-333344445555";
const CONTAINER_ID: &str = "4f1d2c3b4a5968778695a4b3c2d1e0f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
const IMAGE_ID: &str =
    "docker.io/acme/till@sha256:4f1d2c3b4a5968778695a4b3c2d1e0f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

const POD: &str = "/api/v1/namespaces/shop/pods/till-7d9-x2x";
const REPLICA_SET: &str = "/apis/apps/v1/namespaces/shop/replicasets/till-7d9";
const JOB: &str = "/apis/batch/v1/namespaces/shop/jobs/till-29000";
const NODE: &str = "/api/v1/nodes/node-1";
const KUBE_SYSTEM: &str = "/api/v1/namespaces/kube-system";

/// The start time of the container's first process.
static STARTED: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// Formats a time as the API server does: in whole seconds, rounded down.
fn time(time: SystemTime) -> String {
    Timestamp::try_from(time).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn status(started: SystemTime) -> Value {
    json!({
        "name": "till",
        "containerID": format!("containerd://{CONTAINER_ID}"),
        "image": "docker.io/acme/till:1.0",
        "imageID": IMAGE_ID,
        "ready": true,
        "restartCount": 2,
        "state": { "running": { "startedAt": time(started) } },
    })
}

/// A pod that has no owner. Its only container has just started.
fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "till-7d9-x2x", "namespace": "shop", "uid": UID },
        "spec": {
            "nodeName": "node-1",
            "containers": [{ "name": "till", "image": "acme/till:1.0", "env": [{ "name": "A", "value": "b" }] }],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.1.2.3",
            "podIPs": [{ "ip": "10.1.2.3" }, { "ip": "fd00::3" }],
            "startTime": "2026-01-02T03:04:05Z",
            "containerStatuses": [status(*STARTED)],
        },
    })
}

fn object(name: &str, uid: &str) -> Value {
    json!({ "metadata": { "name": name, "uid": uid } })
}

fn owned(mut object: Value, api_version: &str, kind: &str, name: &str) -> Value {
    object["metadata"]["ownerReferences"] = json!([
        // An owner that is not the controller comes first.
        { "apiVersion": "v1", "kind": "ConfigMap", "name": "notes", "uid": "uid-of-notes" },
        { "apiVersion": api_version, "kind": kind, "name": name, "uid": format!("uid-of-{name}"), "controller": true },
    ]);
    object
}

fn known() -> Known {
    Known {
        namespace: Some("shop".into()),
        pod_name: Some(PodName::Guessed("till-7d9-x2x".into())),
        pod_uid: Some(UID.into()),
        node: None,
        container: Some("till".into()),
        container_id: None,
        addresses: vec!["10.1.2.3".parse().unwrap()],
        started: Some(*STARTED),
        init_started: None,
    }
}

/// A cluster with a pod that belongs to a Deployment.
fn cluster() -> FakeApi {
    let api = FakeApi::start();
    api.set_objects([
        (POD, owned(pod(), "apps/v1", "ReplicaSet", "till-7d9")),
        (REPLICA_SET, owned(object("till-7d9", "uid-of-till-7d9"), "apps/v1", "Deployment", "till")),
        (NODE, object("node-1", "uid-of-node-1")),
        (KUBE_SYSTEM, object("kube-system", "uid-of-kube-system")),
    ]);
    api
}

/// All attributes of the pod in [`cluster`].
fn all_attributes() -> Attributes {
    let digests = format!("[\"{IMAGE_ID}\"]");
    expected([
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.name", "till-7d9-x2x"),
        ("k8s.pod.uid", UID),
        ("k8s.pod.ip", "10.1.2.3"),
        ("k8s.pod.start_time", "2026-01-02T03:04:05Z"),
        ("k8s.node.name", "node-1"),
        ("k8s.node.uid", "uid-of-node-1"),
        ("k8s.cluster.uid", "uid-of-kube-system"),
        ("k8s.container.name", "till"),
        ("k8s.container.restart_count", "2"),
        ("k8s.replicaset.name", "till-7d9"),
        ("k8s.replicaset.uid", "uid-of-till-7d9"),
        ("k8s.deployment.name", "till"),
        ("k8s.deployment.uid", "uid-of-till"),
        ("container.id", CONTAINER_ID),
        ("container.image.name", "docker.io/acme/till"),
        ("container.image.tags", "[\"1.0\"]"),
        ("container.image.id", IMAGE_ID),
        ("container.image.repo_digests", &digests),
    ])
}

/// Detects attributes with a long timeout, for tests in which the server responds.
fn detect_all(api: &FakeApi, known: Known) -> (Attributes, Vec<Gap>) {
    detect_within(Duration::from_mins(1), api, known)
}

/// Detects attributes with the usual timeout, for tests in which a response or a complete status never comes. Fails if
/// the detection takes over a second longer than the timeout.
#[track_caller]
fn detect_in_time(api: &FakeApi, known: Known) -> (Attributes, Vec<Gap>) {
    let started_at = Instant::now();
    let detected = detect_within(TIMEOUT, api, known);
    assert!(started_at.elapsed() < TIMEOUT + Duration::from_secs(1), "{:?}", started_at.elapsed());
    detected
}

/// Detects attributes. As in the resource, if a key is reported twice, the later value wins.
fn detect_within(timeout: Duration, api: &FakeApi, known: Known) -> (Attributes, Vec<Gap>) {
    let (found, Missing(gaps)) = detect_in(&api.kubernetes, &api.files(), known, timeout);
    let last: std::collections::BTreeMap<_, _> =
        found.into_iter().map(|pair| (pair.key.clone(), pair)).collect();
    (attributes(last.into_values()), gaps)
}

fn without(mut all: Attributes, prefixes: &[&str]) -> Attributes {
    all.retain(|key, _| !prefixes.iter().any(|prefix| key.starts_with(prefix)));
    all
}

#[test]
fn finds_all_attributes_with_one_request_per_object() {
    let api = cluster();
    let (found, gaps) = detect_all(&api, known());
    assert_eq!(gaps, []);
    assert_eq!(found, all_attributes());
    let mut requests = api.requests();
    requests.sort();
    assert_eq!(requests, [KUBE_SYSTEM, POD, NODE, REPLICA_SET]);
}

#[tokio::test(flavor = "current_thread")]
async fn works_inside_a_runtime() {
    let (found, gaps) = detect_all(&cluster(), known());
    assert_eq!((found, gaps), (all_attributes(), vec![]));
}

#[test]
fn connects_to_an_ipv6_address() {
    let api = FakeApi::listen("::1");
    api.set_objects([(KUBE_SYSTEM, object("kube-system", "uid-of-kube-system"))]);
    assert_eq!(detect_all(&api, known()).0.get("k8s.cluster.uid").unwrap(), "uid-of-kube-system");
}

#[test]
fn follows_each_chain_of_owners() {
    let api = cluster();
    let replica_set = object("till-7d9", "uid-of-till-7d9");
    let job = object("till-29000", "uid-of-till-29000");
    api.set_objects([(JOB, owned(job.clone(), "batch/v1", "CronJob", "till"))]);
    let check = |pod: Value, owners: &[(&str, &str)]| {
        api.set_objects([(POD, pod)]);
        let (found, gaps) = detect_all(&api, known());
        assert_eq!(gaps, []);
        let names = found.iter().filter_map(|(key, name)| {
            let kind = key.strip_prefix("k8s.")?.strip_suffix(".name")?;
            let is_owner = !["pod", "node", "container", "namespace"].contains(&kind);
            is_owner.then(|| {
                assert_eq!(found[&format!("k8s.{kind}.uid")], format!("uid-of-{name}"));
                (kind, name.as_str())
            })
        });
        assert_eq!(names.collect::<Vec<_>>(), owners);
    };
    check(pod(), &[]);
    check(owned(pod(), "apps/v1", "StatefulSet", "till"), &[("statefulset", "till")]);
    check(owned(pod(), "apps/v1", "DaemonSet", "till"), &[("daemonset", "till")]);
    check(owned(pod(), "batch/v1", "Job", "till-29000"), &[("cronjob", "till"), ("job", "till-29000")]);
    let replica_set_pod = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    check(replica_set_pod.clone(), &[("deployment", "till"), ("replicaset", "till-7d9")]);

    // In these cases, the chain ends at an owner that has no owner, or at an owner of an unknown kind.
    api.set_objects([(JOB, job), (REPLICA_SET, replica_set.clone())]);
    check(owned(pod(), "batch/v1", "Job", "till-29000"), &[("job", "till-29000")]);
    check(replica_set_pod.clone(), &[("replicaset", "till-7d9")]);
    api.set_objects([(REPLICA_SET, owned(replica_set, "argoproj.io/v1alpha1", "Rollout", "till"))]);
    check(replica_set_pod.clone(), &[("replicaset", "till-7d9")]);
    check(owned(pod(), "acme.example/v1", "Till", "till"), &[]);
    // This kind has the name of a known kind but belongs to another group.
    check(owned(pod(), "acme.example/v1", "StatefulSet", "till"), &[]);
    // A new object has taken the owner's name.
    api.set_objects([(
        REPLICA_SET,
        owned(object("till-7d9", "uid-of-another"), "apps/v1", "Deployment", "other"),
    )]);
    check(replica_set_pod, &[("replicaset", "till-7d9")]);
}

#[test]
fn leaves_out_only_the_attributes_that_need_a_missing_permission() {
    let pod_attributes = [
        "k8s.pod.name",
        "k8s.pod.ip",
        "k8s.pod.start_time",
        "k8s.node",
        "k8s.replicaset",
        "k8s.deployment",
        "k8s.container.restart_count",
        "container.",
    ];
    for (path, resource, missing) in [
        (POD, "pods", &pod_attributes[..]),
        (REPLICA_SET, "replicasets.apps", &["k8s.deployment"]),
        (NODE, "nodes", &["k8s.node.uid"]),
        (KUBE_SYSTEM, "namespaces", &["k8s.cluster"]),
    ] {
        let api = cluster();
        api.set_responses(path, [FakeResponse::Status(StatusCode::FORBIDDEN)]);
        let (found, gaps) = detect_all(&api, known());
        assert_eq!(found, without(all_attributes(), missing), "{path}");
        let [gap] = &gaps[..] else { panic!("{gaps:?}") };
        assert!(gap.reason.contains("403") && gap.reason.contains(path), "{gap:?}");
        assert_eq!(gap.remedy, Some(format!("grant the pod's service account the verb get on {resource}")));
    }
    let api = cluster();
    api.set_objects([(POD, owned(pod(), "batch/v1", "Job", "till-29000"))]);
    api.set_responses(JOB, [FakeResponse::Status(StatusCode::FORBIDDEN)]);
    let (found, gaps) = detect_all(&api, known());
    assert_eq!((found["k8s.job.name"].as_str(), found.get("k8s.cronjob.name")), ("till-29000", None));
    assert_eq!(gaps[0].remedy.as_deref(), Some("grant the pod's service account the verb get on jobs.batch"));
}

#[test]
fn looks_up_a_declared_node_without_the_pod() {
    let api = cluster();
    api.set_responses(POD, [FakeResponse::Status(StatusCode::FORBIDDEN)]);
    let (found, _) = detect_all(&api, Known { node: Some("node-1".into()), ..known() });
    assert_eq!(found["k8s.node.uid"], "uid-of-node-1");
}

#[test]
fn reports_the_status_of_other_errors() {
    for code in [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
        let api = cluster();
        api.set_responses(REPLICA_SET, [FakeResponse::Status(code)]);
        let (found, gaps) = detect_all(&api, known());
        assert_eq!(found, without(all_attributes(), &["k8s.deployment"]), "{code}");
        assert!(gaps[0].reason.contains(code.as_str()), "{gaps:?}");
    }
}

#[test]
fn hides_the_text_of_a_response_that_cannot_be_parsed() {
    let api = cluster();
    api.set_objects([(POD, json!({ "metadata": { "name": ["hunter2"] } }))]);
    let (found, gaps) = detect_all(&api, known());
    assert_eq!(found["k8s.cluster.uid"], "uid-of-kube-system");
    assert!(gaps.len() == 1 && !format!("{gaps:?}").contains("hunter2"), "{gaps:?}");
}

#[test]
fn reports_the_other_attributes_if_one_request_hangs() {
    for hanging in [FakeResponse::Never, FakeResponse::Incomplete] {
        let api = cluster();
        api.set_responses(NODE, [hanging.clone()]);
        let (found, gaps) = detect_in_time(&api, known());
        assert_eq!(found, without(all_attributes(), &["k8s.node.uid"]), "{hanging:?}");
        assert_eq!((gaps.len(), gaps[0].reason.as_str()), (1, "no response within 2 s"), "{hanging:?}");
    }
}

#[test]
fn waits_two_seconds_for_a_server_that_never_responds() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut api = cluster();
    api.kubernetes.port = silent.local_addr().unwrap().port().to_string();
    let (found, gaps) = detect_in_time(&api, known());
    let local =
        expected([("k8s.namespace.name", "shop"), ("k8s.pod.uid", UID), ("k8s.container.name", "till")]);
    assert_eq!(found, local);
    assert!(
        gaps.iter().all(|gap| gap.reason == "no response within 2 s" && gap.remedy.is_some()),
        "{gaps:?}"
    );
}

#[test]
fn rejects_a_server_certificate_of_another_ca() {
    let api = cluster();
    write_service_account(api.folder.path(), &other_ca_pem());
    let (found, gaps) = detect_all(&api, known());
    assert_eq!((found.get("k8s.cluster.uid"), api.requests().len()), (None, 0));
    assert!(gaps[0].reason.contains("invalid peer certificate"), "{gaps:?}");
}

#[test]
fn sends_no_request_without_a_token_or_an_address_or_when_turned_off() {
    let mut api = cluster();
    api.kubernetes.api = false;
    let (found, gaps) = detect_all(&api, known());
    assert_eq!((found.len(), gaps), (3, vec![]));

    api.kubernetes.api = true;
    let port = std::mem::replace(&mut api.kubernetes.port, "tcp://10.0.0.1:80".into());
    let (_, gaps) = detect_all(&api, known());
    assert!(gaps[0].reason.contains("KUBERNETES_SERVICE_PORT=tcp://10.0.0.1:80"), "{gaps:?}");

    api.kubernetes.port = port;
    fs::remove_file(api.folder.path().join("token")).unwrap();
    let (_, gaps) = detect_all(&api, known());
    assert!(gaps[0].remedy.as_ref().unwrap().contains("SIGHTLINE_KUBERNETES_API=false"), "{gaps:?}");
    assert_eq!((gaps.len(), api.requests().len()), (1, 0));
}

#[test]
fn combines_the_environment_and_the_files() {
    let api = FakeApi::start();
    let root = format!("/var/lib/kubelet/pods/{UID}");
    let mounts = format!(
        "1 2 0:1 {root}/etc-hosts /etc/hosts rw - ext4 a rw\n\
         1 2 0:1 {root}/containers/till/0123abcd /dev/termination-log rw - ext4 a rw\n"
    );
    fs::write(api.folder.path().join("mountinfo"), mounts).unwrap();
    let declared = [
        ("k8s.pod.name", "till-7d9-x2x"),
        ("k8s.pod.uid", "mistyped"),
        ("k8s.node.name", "node-1"),
        ("k8s.node.name", "node-2"),
        ("k8s.container.name", ""),
    ];
    let settings = ResourceSettings {
        attributes: declared.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..ResourceSettings::default()
    };
    let known = Known::collect(&settings, api.files().read(), Some("an-id"), Some("shop"));
    let text = Option::as_deref;
    assert_eq!(known.pod_name, Some(PodName::Declared("till-7d9-x2x".into())));
    assert_eq!((text(&known.namespace), text(&known.pod_uid)), (Some("shop"), Some(UID)));
    assert_eq!((text(&known.node), text(&known.container)), (Some("node-2"), Some("till")));
    assert_eq!(known.container_id.as_deref(), Some("an-id"));

    let undeclared = Known::collect(&ResourceSettings::default(), files::PodFacts::default(), None, None);
    assert!(matches!(undeclared.pod_name, Some(PodName::Guessed(_))), "{undeclared:?}");
    assert_eq!((undeclared.attributes(), undeclared.namespace), (vec![], None));
}

#[test]
fn detects_nothing_outside_a_cluster() {
    let (found, missing) = detect(&ResourceSettings::default(), Some(CONTAINER_ID), Some("shop"));
    assert_eq!((found, missing), (vec![], Missing::default()));
}
