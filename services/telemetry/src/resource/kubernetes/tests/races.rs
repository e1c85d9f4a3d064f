//! Tests with the objects of other pods, and with the status of a container's previous run.

use super::*;

/// The attributes that come from the status of the current run.
const RUN_ATTRIBUTES: [&str; 3] = ["k8s.container.restart_count", "container.id", "container.image"];

/// A pod whose UID is not known. Only its name and its IP addresses identify it.
fn known_by_address(addresses: &[&str]) -> Known {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Known { pod_uid: None, addresses, ..known() }
}

#[test]
fn ignores_another_pod_with_the_same_name() {
    let api = cluster();
    let local = expected([("k8s.namespace.name", "shop"), ("k8s.container.name", "till")]);
    let mut on_host = pod();
    on_host["spec"]["hostNetwork"] = json!(true);
    for (case, pod, known) in [
        ("another UID", pod(), Known { pod_uid: Some("another".into()), ..known() }),
        ("another address", pod(), known_by_address(&["10.1.2.4", "fd00::4"])),
        ("an address of the host, which other pods also have", on_host, known_by_address(&["10.1.2.3"])),
    ] {
        api.set_objects([(POD, pod)]);
        let (mut found, gaps) = detect_all(&api, known);
        found.remove("k8s.pod.uid");
        assert_eq!(without(found, &["k8s.cluster"]), local, "{case}");
        assert!(gaps.len() == 1 && gaps[0].remedy.is_some(), "{case}: {gaps:?}");
    }
}

#[test]
fn recognizes_this_pod_by_an_address_of_either_family() {
    for address in ["10.1.2.3", "fd00:0::3"] {
        let (found, gaps) = detect_all(&cluster(), known_by_address(&["192.0.2.1", address]));
        assert_eq!((found, gaps), (all_attributes(), vec![]), "{address}");
    }
}

#[test]
fn accepts_a_declared_pod_on_the_host_network() {
    let api = cluster();
    let mut on_host = pod();
    on_host["spec"]["hostNetwork"] = json!(true);
    api.set_objects([(POD, on_host)]);
    let declared =
        Known { pod_name: Some(PodName::Declared("till-7d9-x2x".into())), ..known_by_address(&["10.1.2.3"]) };
    assert_eq!(detect_all(&api, declared).0["k8s.pod.uid"], UID);
}

#[test]
fn polls_until_the_pod_has_an_address() {
    let api = cluster();
    let mut early = pod();
    early["status"] = json!({ "phase": "Pending" });
    api.set_responses(
        POD,
        [FakeResponse::Object(early.clone()), FakeResponse::Object(early), FakeResponse::Object(pod())],
    );
    let (found, gaps) = detect_all(&api, known_by_address(&["10.1.2.3"]));
    assert_eq!((found["k8s.pod.uid"].as_str(), gaps), (UID, vec![]));
}

#[test]
fn polls_until_the_status_is_complete() {
    let api = cluster();
    let mut creating = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    creating["status"]["containerStatuses"] = json!([{
        "name": "till", "image": "acme/till:1.0", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": "ContainerCreating" } },
    }]);
    creating["status"]["podIP"] = Value::Null;
    let running = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    api.set_responses(
        POD,
        [
            FakeResponse::Object(creating.clone()),
            FakeResponse::Object(creating),
            FakeResponse::Object(running),
        ],
    );
    assert_eq!(detect_all(&api, known()), (all_attributes(), vec![]));
}

#[test]
fn ignores_the_status_of_a_previous_run() {
    let api = cluster();
    let mut previous = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    previous["status"]["containerStatuses"] = json!([status(*STARTED - Duration::from_secs(3))]);
    api.set_objects([(POD, previous.clone())]);
    let (found, gaps) = detect_in_time(&api, known());
    assert_eq!(found, without(all_attributes(), &RUN_ATTRIBUTES));
    // The operator cannot do anything about a late status, so there is no remedy.
    assert!(gaps.len() == 1 && gaps[0].remedy.is_none(), "{gaps:?}");

    // Later, the API server reports the current run.
    let current = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    api.set_responses(POD, [FakeResponse::Object(previous), FakeResponse::Object(current)]);
    assert_eq!(detect_all(&api, known()), (all_attributes(), vec![]));
}

#[test]
fn accepts_a_status_that_is_older_than_this_process() {
    let long_ago = *STARTED - Duration::from_mins(1);
    let api = cluster();
    let mut started = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    started["status"]["containerStatuses"] = json!([status(long_ago)]);
    api.set_objects([(POD, started.clone())]);
    let late = Known { init_started: Some(long_ago), ..known() };
    assert_eq!(detect_all(&api, late.clone()), (all_attributes(), vec![]));

    // If the containers share a PID namespace, process 1 is as old as the pod and does not belong to this run.
    started["spec"]["shareProcessNamespace"] = json!(true);
    api.set_objects([(POD, started)]);
    assert_eq!(detect_in_time(&api, late).0, without(all_attributes(), &RUN_ATTRIBUTES));
}

#[test]
fn finds_the_container_and_its_run_by_id() {
    let api = cluster();
    let mut several = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    several["spec"]["containers"] = json!([{ "name": "mesh" }, { "name": "till" }]);
    let mut mesh = status(*STARTED);
    mesh["name"] = json!("mesh");
    mesh["containerID"] = json!("containerd://another");
    // With an ID, the start time does not matter. The start time can be wrong if someone has set the clock.
    let till = status(*STARTED - Duration::from_hours(1));
    several["status"]["containerStatuses"] = json!([mesh, till]);
    api.set_objects([(POD, several)]);
    let by_id = Known { container: None, container_id: Some(CONTAINER_ID.into()), ..known() };
    assert_eq!(detect_all(&api, by_id), (all_attributes(), vec![]));

    // The name matches, but the ID belongs to another run.
    let other_run = Known { container_id: Some("of-the-next-run".into()), ..known() };
    assert_eq!(detect_in_time(&api, other_run).0, without(all_attributes(), &RUN_ATTRIBUTES));
}

#[test]
fn does_not_guess_one_of_several_containers() {
    let api = cluster();
    let mut several = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    several["spec"]["containers"] = json!([{ "name": "mesh" }, { "name": "till" }]);
    api.set_objects([(POD, several)]);
    for container in [None, Some("no-such-container".to_owned())] {
        let started_at = Instant::now();
        let (found, gaps) = detect_all(&api, Known { container: container.clone(), ..known() });
        assert!(started_at.elapsed() < Duration::from_secs(30), "polling cannot help here");
        assert_eq!(
            without(found, &["k8s.container.name"]),
            without(all_attributes(), &[&RUN_ATTRIBUTES[..], &["k8s.container"]].concat())
        );
        assert!(
            gaps.len() == 1 && gaps[0].remedy.as_ref().unwrap().contains("k8s.container.name"),
            "{gaps:?}"
        );
    }
    // If a pod has only one container, the detector does not need the container's name.
    assert_eq!(detect_all(&cluster(), Known { container: None, ..known() }), (all_attributes(), vec![]));
}
