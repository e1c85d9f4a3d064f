//! Pods that are not this one, and statuses that are not of this run.

use super::*;

const RUN: [&str; 3] = ["k8s.container.restart_count", "container.id", "container.image"];

fn guessed_by_address(addresses: &[&str]) -> Known {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Known { pod_uid: None, addresses, ..known() }
}

#[test]
fn another_pod_of_this_name_is_not_told_of() {
    let api = cluster();
    let local = expected([("k8s.namespace.name", "shop"), ("k8s.container.name", "till")]);
    let mut on_host = pod();
    on_host["spec"]["hostNetwork"] = json!(true);
    for (what, pod, known) in [
        ("another uid", pod(), Known { pod_uid: Some("another".into()), ..known() }),
        ("another address", pod(), guessed_by_address(&["10.1.2.4", "fd00::4"])),
        ("the host's address, which others have too", on_host, guessed_by_address(&["10.1.2.3"])),
    ] {
        api.holds([(POD, pod)]);
        let (mut found, gaps) = detected(&api, known);
        found.remove("k8s.pod.uid");
        assert_eq!(without(found, &["k8s.cluster"]), local, "{what}");
        assert!(gaps.len() == 1 && gaps[0].remedy.is_some(), "{what}: {gaps:?}");
    }
}

#[test]
fn an_address_of_either_family_tells_that_a_pod_is_this_one() {
    for address in ["10.1.2.3", "fd00:0::3"] {
        let (found, gaps) = detected(&cluster(), guessed_by_address(&["192.0.2.1", address]));
        assert_eq!((found, gaps), (all_of_cluster(), vec![]), "{address}");
    }
}

#[test]
fn a_declared_pod_on_the_hosts_network_is_believed() {
    let api = cluster();
    let mut on_host = pod();
    on_host["spec"]["hostNetwork"] = json!(true);
    api.holds([(POD, on_host)]);
    let declared = Known {
        pod_name: Some(PodName::Declared("till-7d9-x2x".into())),
        ..guessed_by_address(&["10.1.2.3"])
    };
    assert_eq!(detected(&api, declared).0["k8s.pod.uid"], UID);
}

#[test]
fn a_pod_that_has_no_address_yet_is_looked_at_again() {
    let api = cluster();
    let mut early = pod();
    early["status"] = json!({ "phase": "Pending" });
    api.answers(POD, [Answer::Object(early.clone()), Answer::Object(early), Answer::Object(pod())]);
    let (found, gaps) = detected(&api, guessed_by_address(&["10.1.2.3"]));
    assert_eq!((found["k8s.pod.uid"].as_str(), gaps), (UID, vec![]));
}

#[test]
fn a_status_that_comes_late_is_waited_for() {
    let api = cluster();
    let mut creating = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    creating["status"]["containerStatuses"] = json!([{
        "name": "till", "image": "acme/till:1.0", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": "ContainerCreating" } },
    }]);
    creating["status"]["podIP"] = Value::Null;
    let running = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    api.answers(POD, [Answer::Object(creating.clone()), Answer::Object(creating), Answer::Object(running)]);
    assert_eq!(detected(&api, known()), (all_of_cluster(), vec![]));
}

#[test]
fn the_status_of_the_run_before_is_not_told() {
    let api = cluster();
    let mut before = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    before["status"]["containerStatuses"] = json!([status(*STARTED - Duration::from_secs(3))]);
    api.holds([(POD, before.clone())]);
    let (found, gaps) = detected_in_time(&api, known());
    assert_eq!(found, without(all_of_cluster(), &RUN));
    // Nobody can do anything about it.
    assert!(gaps.len() == 1 && gaps[0].remedy.is_none(), "{gaps:?}");

    // The run of now is reported in the end.
    let now = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    api.answers(POD, [Answer::Object(before), Answer::Object(now)]);
    assert_eq!(detected(&api, known()), (all_of_cluster(), vec![]));
}

#[test]
fn a_program_that_its_container_started_late_still_has_this_run() {
    let long_ago = *STARTED - Duration::from_mins(1);
    let api = cluster();
    let mut started = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    started["status"]["containerStatuses"] = json!([status(long_ago)]);
    api.holds([(POD, started.clone())]);
    let late = Known { init_started: Some(long_ago), ..known() };
    assert_eq!(detected(&api, late.clone()), (all_of_cluster(), vec![]));

    // Where the pod's containers share their processes, process 1 is as old as the pod and tells nothing.
    started["spec"]["shareProcessNamespace"] = json!(true);
    api.holds([(POD, started)]);
    assert_eq!(detected_in_time(&api, late).0, without(all_of_cluster(), &RUN));
}

#[test]
fn an_id_from_the_kernel_tells_container_and_run() {
    let api = cluster();
    let mut several = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    several["spec"]["containers"] = json!([{ "name": "mesh" }, { "name": "till" }]);
    let mut mesh = status(*STARTED);
    mesh["name"] = json!("mesh");
    mesh["containerID"] = json!("containerd://another");
    // Its start is of no account then: a clock may have been set.
    let till = status(*STARTED - Duration::from_hours(1));
    several["status"]["containerStatuses"] = json!([mesh, till]);
    api.holds([(POD, several)]);
    let by_id = Known { container: None, container_id: Some(CONTAINER_ID.into()), ..known() };
    assert_eq!(detected(&api, by_id), (all_of_cluster(), vec![]));

    // The name alone is the right one, and yet the run is another.
    let other_run = Known { container_id: Some("of-the-next-run".into()), ..known() };
    assert_eq!(detected_in_time(&api, other_run).0, without(all_of_cluster(), &RUN));
}

#[test]
fn one_of_several_containers_is_not_picked_by_guess() {
    let api = cluster();
    let mut several = owned(pod(), "apps/v1", "ReplicaSet", "till-7d9");
    several["spec"]["containers"] = json!([{ "name": "mesh" }, { "name": "till" }]);
    api.holds([(POD, several)]);
    for container in [None, Some("no-such-container".to_owned())] {
        let begun = Instant::now();
        let (found, gaps) = detected(&api, Known { container: container.clone(), ..known() });
        assert!(begun.elapsed() < Duration::from_secs(30), "waiting would not help");
        assert_eq!(
            without(found, &["k8s.container.name"]),
            without(all_of_cluster(), &[&RUN[..], &["k8s.container"]].concat())
        );
        assert!(
            gaps.len() == 1 && gaps[0].remedy.as_ref().unwrap().contains("k8s.container.name"),
            "{gaps:?}"
        );
    }
    // A container alone in its pod needs no name.
    assert_eq!(detected(&cluster(), Known { container: None, ..known() }), (all_of_cluster(), vec![]));
}
