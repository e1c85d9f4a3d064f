//! The detector against an API server that speaks as the real one does.

mod fake_api;
mod races;

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::api::BUDGET;
use super::known::PodName;
use super::missing::Gap;
use super::*;
use crate::testing::{Attributes, attributes, expected};
use fake_api::{Answer, FakeApi, mount, strange_authority};

const UID: &str = "0a1b2c3d-0000-1111-2222-333344445555";
const CONTAINER_ID: &str = "4f1d2c3b4a5968778695a4b3c2d1e0f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
const IMAGE_ID: &str =
    "docker.io/acme/till@sha256:4f1d2c3b4a5968778695a4b3c2d1e0f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

const POD: &str = "/api/v1/namespaces/shop/pods/till-7d9-x2x";
const REPLICA_SET: &str = "/apis/apps/v1/namespaces/shop/replicasets/till-7d9";
const JOB: &str = "/apis/batch/v1/namespaces/shop/jobs/till-29000";
const NODE: &str = "/api/v1/nodes/node-1";
const KUBE_SYSTEM: &str = "/api/v1/namespaces/kube-system";

/// When this container's first process started.
static STARTED: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// As the API server writes times: whole seconds, rounded down.
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

/// A pod of one container, which has just started, of no owner.
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
        // One that only keeps it alive comes first.
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

/// A cluster with a Deployment's pod in it.
fn cluster() -> FakeApi {
    let api = FakeApi::start();
    api.holds([
        (POD, owned(pod(), "apps/v1", "ReplicaSet", "till-7d9")),
        (REPLICA_SET, owned(object("till-7d9", "uid-of-till-7d9"), "apps/v1", "Deployment", "till")),
        (NODE, object("node-1", "uid-of-node-1")),
        (KUBE_SYSTEM, object("kube-system", "uid-of-kube-system")),
    ]);
    api
}

fn all_of_cluster() -> Attributes {
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

/// What is detected where nothing is amiss, however busy the machine is.
fn detected(api: &FakeApi, known: Known) -> (Attributes, Vec<Gap>) {
    detected_within(Duration::from_mins(1), api, known)
}

/// What is detected in the time that there is, where something never comes.
#[track_caller]
fn detected_in_time(api: &FakeApi, known: Known) -> (Attributes, Vec<Gap>) {
    let begun = Instant::now();
    let detected = detected_within(BUDGET, api, known);
    assert!(begun.elapsed() < BUDGET + Duration::from_secs(1), "{:?}", begun.elapsed());
    detected
}

/// Of two values for a key the later counts, as in the resource.
fn detected_within(budget: Duration, api: &FakeApi, known: Known) -> (Attributes, Vec<Gap>) {
    let (found, Missing(gaps)) = detect_in(&api.kubernetes, &api.files(), known, budget);
    let last: std::collections::BTreeMap<_, _> =
        found.into_iter().map(|pair| (pair.key.clone(), pair)).collect();
    (attributes(last.into_values()), gaps)
}

fn without(mut all: Attributes, prefixes: &[&str]) -> Attributes {
    all.retain(|key, _| !prefixes.iter().any(|prefix| key.starts_with(prefix)));
    all
}

#[test]
fn everything_is_found_with_one_request_each() {
    let api = cluster();
    let (found, gaps) = detected(&api, known());
    assert_eq!(gaps, []);
    assert_eq!(found, all_of_cluster());
    let mut requests = api.requests();
    requests.sort();
    assert_eq!(requests, [KUBE_SYSTEM, POD, NODE, REPLICA_SET]);
}

#[tokio::test(flavor = "current_thread")]
async fn it_works_from_inside_a_runtime() {
    let (found, gaps) = detected(&cluster(), known());
    assert_eq!((found, gaps), (all_of_cluster(), vec![]));
}

#[test]
fn an_api_server_may_have_an_address_of_version_6() {
    let api = FakeApi::listen("::1");
    api.holds([(KUBE_SYSTEM, object("kube-system", "uid-of-kube-system"))]);
    assert_eq!(detected(&api, known()).0.get("k8s.cluster.uid").unwrap(), "uid-of-kube-system");
}

#[test]
fn each_chain_of_owners_is_followed() {
    let api = cluster();
    let replica_set = object("till-7d9", "uid-of-till-7d9");
    let job = object("till-29000", "uid-of-till-29000");
    api.holds([(JOB, owned(job.clone(), "batch/v1", "CronJob", "till"))]);
    let check = |pod: Value, owners: &[(&str, &str)]| {
        api.holds([(POD, pod)]);
        let (found, gaps) = detected(&api, known());
        assert_eq!(gaps, []);
        let names = found.iter().filter_map(|(key, name)| {
            let kind = key.strip_prefix("k8s.")?.strip_suffix(".name")?;
            let owner = !["pod", "node", "container", "namespace"].contains(&kind);
            owner.then(|| {
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
    let of_replica_set = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    check(of_replica_set.clone(), &[("deployment", "till"), ("replicaset", "till-7d9")]);

    // Owners without an owner, or of one that is not known.
    api.holds([(JOB, job), (REPLICA_SET, replica_set.clone())]);
    check(owned(pod(), "batch/v1", "Job", "till-29000"), &[("job", "till-29000")]);
    check(of_replica_set.clone(), &[("replicaset", "till-7d9")]);
    api.holds([(REPLICA_SET, owned(replica_set, "argoproj.io/v1alpha1", "Rollout", "till"))]);
    check(of_replica_set.clone(), &[("replicaset", "till-7d9")]);
    check(owned(pod(), "acme.example/v1", "Till", "till"), &[]);
    // A kind of the same name in another group.
    check(owned(pod(), "acme.example/v1", "StatefulSet", "till"), &[]);
    // Another object has taken the name since.
    api.holds([(REPLICA_SET, owned(object("till-7d9", "uid-of-another"), "apps/v1", "Deployment", "other"))]);
    check(of_replica_set, &[("replicaset", "till-7d9")]);
}

#[test]
fn each_right_that_is_missing_costs_what_it_is_for_and_no_more() {
    let of_pod = [
        "k8s.pod.name",
        "k8s.pod.ip",
        "k8s.pod.start_time",
        "k8s.node",
        "k8s.replicaset",
        "k8s.deployment",
        "k8s.container.restart_count",
        "container.",
    ];
    for (path, resource, costs) in [
        (POD, "pods", &of_pod[..]),
        (REPLICA_SET, "replicasets.apps", &["k8s.deployment"]),
        (NODE, "nodes", &["k8s.node.uid"]),
        (KUBE_SYSTEM, "namespaces", &["k8s.cluster"]),
    ] {
        let api = cluster();
        api.answers(path, [Answer::Status(StatusCode::FORBIDDEN)]);
        let (found, gaps) = detected(&api, known());
        assert_eq!(found, without(all_of_cluster(), costs), "{path}");
        let [gap] = &gaps[..] else { panic!("{gaps:?}") };
        assert!(gap.why.contains("403") && gap.why.contains(path), "{gap:?}");
        assert_eq!(gap.remedy, Some(format!("let the pod's service account get {resource}")));
    }
    let api = cluster();
    api.holds([(POD, owned(pod(), "batch/v1", "Job", "till-29000"))]);
    api.answers(JOB, [Answer::Status(StatusCode::FORBIDDEN)]);
    let (found, gaps) = detected(&api, known());
    assert_eq!((found["k8s.job.name"].as_str(), found.get("k8s.cronjob.name")), ("till-29000", None));
    assert_eq!(gaps[0].remedy.as_deref(), Some("let the pod's service account get jobs.batch"));
}

#[test]
fn a_declared_node_is_looked_up_without_the_pod() {
    let api = cluster();
    api.answers(POD, [Answer::Status(StatusCode::FORBIDDEN)]);
    let (found, _) = detected(&api, Known { node: Some("node-1".into()), ..known() });
    assert_eq!(found["k8s.node.uid"], "uid-of-node-1");
}

#[test]
fn other_refusals_are_told_with_their_code() {
    for code in [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
        let api = cluster();
        api.answers(REPLICA_SET, [Answer::Status(code)]);
        let (found, gaps) = detected(&api, known());
        assert_eq!(found, without(all_of_cluster(), &["k8s.deployment"]), "{code}");
        assert!(gaps[0].why.contains(code.as_str()), "{gaps:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_told_without_its_text() {
    let api = cluster();
    api.holds([(POD, json!({ "metadata": { "name": ["hunter2"] } }))]);
    let (found, gaps) = detected(&api, known());
    assert_eq!(found["k8s.cluster.uid"], "uid-of-kube-system");
    assert!(gaps.len() == 1 && !format!("{gaps:?}").contains("hunter2"), "{gaps:?}");
}

#[test]
fn whatever_hangs_the_time_is_kept_and_the_rest_is_told() {
    for hanging in [Answer::Silence, Answer::Half] {
        let api = cluster();
        api.answers(NODE, [hanging.clone()]);
        let (found, gaps) = detected_in_time(&api, known());
        assert_eq!(found, without(all_of_cluster(), &["k8s.node.uid"]), "{hanging:?}");
        assert_eq!((gaps.len(), gaps[0].why.as_str()), (1, "no answer within 2 s"), "{hanging:?}");
    }
}

#[test]
fn a_server_that_takes_connections_and_never_speaks_costs_two_seconds() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut api = cluster();
    api.kubernetes.port = silent.local_addr().unwrap().port().to_string();
    let (found, gaps) = detected_in_time(&api, known());
    let local =
        expected([("k8s.namespace.name", "shop"), ("k8s.pod.uid", UID), ("k8s.container.name", "till")]);
    assert_eq!(found, local);
    assert!(gaps.iter().all(|gap| gap.why == "no answer within 2 s" && gap.remedy.is_some()), "{gaps:?}");
}

#[test]
fn a_server_of_another_authority_is_not_believed() {
    let api = cluster();
    mount(api.folder.path(), &strange_authority());
    let (found, gaps) = detected(&api, known());
    assert_eq!((found.get("k8s.cluster.uid"), api.requests().len()), (None, 0));
    assert!(gaps[0].why.contains("invalid peer certificate"), "{gaps:?}");
}

#[test]
fn nobody_is_asked_without_a_token_or_an_address_or_against_the_setting() {
    let mut api = cluster();
    api.kubernetes.api = false;
    let (found, gaps) = detected(&api, known());
    assert_eq!((found.len(), gaps), (3, vec![]));

    api.kubernetes.api = true;
    let port = std::mem::replace(&mut api.kubernetes.port, "tcp://10.0.0.1:80".into());
    let (_, gaps) = detected(&api, known());
    assert!(gaps[0].why.contains("KUBERNETES_SERVICE_PORT=tcp://10.0.0.1:80"), "{gaps:?}");

    api.kubernetes.port = port;
    fs::remove_file(api.folder.path().join("token")).unwrap();
    let (_, gaps) = detected(&api, known());
    assert!(gaps[0].remedy.as_ref().unwrap().contains("SIGHTLINE_KUBERNETES_API=false"), "{gaps:?}");
    assert_eq!((gaps.len(), api.requests().len()), (1, 0));
}

#[test]
fn what_the_environment_declares_and_what_files_say_come_together() {
    let folder = FakeApi::start();
    let root = format!("/var/lib/kubelet/pods/{UID}");
    let mounts = format!(
        "1 2 0:1 {root}/etc-hosts /etc/hosts rw - ext4 a rw\n\
         1 2 0:1 {root}/containers/till/0123abcd /dev/termination-log rw - ext4 a rw\n"
    );
    fs::write(folder.folder.path().join("mountinfo"), mounts).unwrap();
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
    let known = Known::collect(&settings, folder.files().read(), Some("an-id"));
    let text = Option::as_deref;
    assert_eq!(known.pod_name, Some(PodName::Declared("till-7d9-x2x".into())));
    assert_eq!((text(&known.namespace), text(&known.pod_uid)), (Some("shop"), Some(UID)));
    assert_eq!((text(&known.node), text(&known.container)), (Some("node-2"), Some("till")));
    assert_eq!(known.container_id.as_deref(), Some("an-id"));

    let undeclared = Known::collect(&ResourceSettings::default(), files::Read::default(), None);
    assert!(matches!(undeclared.pod_name, Some(PodName::Guessed(_))), "{undeclared:?}");
    assert_eq!((undeclared.attributes(), undeclared.namespace), (vec![], None));
}

#[test]
fn outside_a_cluster_there_is_nothing() {
    let (found, missing) = detect(&ResourceSettings::default(), Some(CONTAINER_ID));
    assert_eq!((found, missing), (vec![], Missing::default()));
}
