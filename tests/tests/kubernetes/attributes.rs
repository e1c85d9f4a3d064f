//! Each span says where in the cluster it was made, and it is what the API server says of that place.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value as Json, json};
use sightline::jaeger::{Trace, Value};
use sightline_tests::caller::Caller;
use sightline_tests::test_stack::USER;
use sightline_tests::poll::eventually;
use sightline_tests::prometheus::Samples;

use crate::forward::Forward;
use crate::install::{Install, RELEASE, SERVICES, DEFAULT_TIMEOUT, text};

/// Made of user-service's image, as a report that runs every minute would be.
const CRONJOB: &str = "user-report";

/// A pod whose process does not know that it is in a cluster.
const UNAWARE: &str = "unaware";

pub(crate) async fn services(install: &Install) -> Result<()> {
    let trace = install.request_order().await?;
    let mut wrong = Vec::new();
    for service in SERVICES {
        let pods = install.pods(service).await?;
        ensure!(pods.len() == 1, "{service} has {} pods", pods.len());
        let mut expected = of_pod(install, &pods[0]).await?;
        expected.extend(owners(install, &pods[0], &["ReplicaSet", "Deployment"]).await?);
        wrong.extend(differences(&trace, service, &expected)?);
        let has = |key: &str| trace.of_service(service).all(|span| span.resource_attribute(key).is_some());
        let reported: Vec<_> = reported(&pods[0]).into_iter().filter(|(key, _)| has(key)).collect();
        wrong.extend(differences(&trace, service, &reported)?);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What a kubelet reports of a container that runs. On a busy node that is later than the two seconds which a service
/// gives the API server at its start, and an agent does not fill it in.
fn reported(pod: &Json) -> Vec<(String, Json)> {
    let status = &pod["status"]["containerStatuses"][0];
    vec![
        ("container.image.id".to_owned(), status["imageID"].clone()),
        ("k8s.container.restart_count".to_owned(), status["restartCount"].clone()),
    ]
}

/// What the API server says of a pod with one container, of its node and of its cluster, as attributes. Without what a
/// kubelet may be late with.
async fn of_pod(install: &Install, pod: &Json) -> Result<Vec<(String, Json)>> {
    let node = install.cluster.get(["node", text(pod, "/spec/nodeName")?]).await?;
    let system = install.cluster.get(["namespace", "kube-system"]).await?;
    let image = text(pod, "/status/containerStatuses/0/image")?;
    let (name, tag) = image.rsplit_once(':').context("the image has no tag")?;
    let container = text(pod, "/status/containerStatuses/0/containerID")?;
    let (_, container) = container.split_once("://").context("the container's id names no runtime")?;
    let attributes = [
        ("k8s.pod.name", pod["metadata"]["name"].clone()),
        ("k8s.pod.uid", pod["metadata"]["uid"].clone()),
        ("k8s.pod.ip", pod["status"]["podIP"].clone()),
        ("k8s.pod.start_time", pod["status"]["startTime"].clone()),
        ("k8s.namespace.name", pod["metadata"]["namespace"].clone()),
        ("k8s.node.name", pod["spec"]["nodeName"].clone()),
        ("k8s.node.uid", node["metadata"]["uid"].clone()),
        ("k8s.cluster.uid", system["metadata"]["uid"].clone()),
        ("k8s.container.name", pod["spec"]["containers"][0]["name"].clone()),
        ("container.id", json!(container)),
        ("container.image.name", json!(name)),
        ("container.image.tags", json!([tag])),
    ];
    Ok(attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// The chain of controllers above a pod, which has to be of these kinds: name and uid of each.
async fn owners(install: &Install, pod: &Json, kinds: &[&str]) -> Result<Vec<(String, Json)>> {
    let mut attributes = Vec::new();
    let mut object = pod.clone();
    for kind in kinds {
        let owners = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let owner = owners.into_iter().find(|owner| owner["controller"] == true);
        let owner = owner.with_context(|| format!("no {kind} controls it"))?;
        ensure!(owner["kind"] == *kind, "{} controls it and not a {kind}", owner["kind"]);
        let name = text(&owner, "/name")?;
        object = install.cluster.get([*kind, name, "--namespace", install.namespace]).await?;
        let kind = kind.to_ascii_lowercase();
        attributes.push((format!("k8s.{kind}.name"), json!(name)));
        attributes.push((format!("k8s.{kind}.uid"), owner["uid"].clone()));
    }
    Ok(attributes)
}

/// Where the resource of a service is not as expected, in every span of it.
fn differences(trace: &Trace, service: &str, expected: &[(String, Json)]) -> Result<Vec<String>> {
    ensure!(trace.of_service(service).next().is_some(), "no span of {service}");
    let mut wrong: Vec<_> = trace
        .of_service(service)
        .flat_map(|span| expected.iter().map(move |(key, value)| (key, value, span.resource_attribute(key))))
        .filter(|(key, value, found)| !found.is_some_and(|found| is(key, found, value)))
        .map(|(key, value, found)| match found {
            Some(found) => format!("{service}: {key} is {found} and must be {value}"),
            None => format!("{service}: {key} is missing and must be {value}"),
        })
        .collect();
    wrong.dedup();
    Ok(wrong)
}

fn is(key: &str, found: &Value, expected: &Json) -> bool {
    match (found, expected) {
        // Jaeger's Badger keeps a list as its JSON.
        (Value::String(found), Json::Array(_)) => {
            serde_json::from_str::<Json>(found).is_ok_and(|found| found == *expected)
        }
        // The service reads it from the container's status, where the runtime writes the registry out; the agent, which
        // helps out when the kubelet is late, from the pod.
        (Value::String(found), Json::String(expected)) if key == "container.image.name" => {
            found.trim_start_matches("docker.io/") == expected.trim_start_matches("docker.io/")
        }
        (Value::Int(found), Json::Number(expected)) => expected.as_i64() == Some(*found),
        (found, expected) => found.as_str().is_some() && found.as_str() == expected.as_str(),
    }
}

/// The pod template of user-service, under a label and a name of its own, so that no Service sends it anything. The
/// part's labels stay where policies ask for them.
async fn template(install: &Install, name: &str) -> Result<Json> {
    let deployment = "deployment/sightline-user-service";
    let deployment = install.cluster.get([deployment, "--namespace", install.namespace]).await?;
    let mut template = deployment["spec"]["template"].clone();
    let labels = template["metadata"]["labels"].as_object_mut().context("it has no labels")?;
    labels.insert("app.kubernetes.io/instance".to_owned(), json!(format!("{}-beside", RELEASE)));
    labels.insert("app".to_owned(), json!(name));
    if let Some(spec) = template["spec"].as_object_mut() {
        // It is to end at once when it is deleted.
        spec.insert("terminationGracePeriodSeconds".to_owned(), json!(10));
    }
    Ok(template)
}

fn set_env(template: &mut Json, name: &str, value: &str) -> Result<()> {
    let env = template["spec"]["containers"][0]["env"].as_array_mut().context("it has no environment")?;
    env.retain(|entry| entry["name"] != name);
    env.push(json!({"name": name, "value": value}));
    Ok(())
}

pub(crate) async fn begin_cronjob(install: &Install) -> Result<()> {
    let mut template = template(install, CRONJOB).await?;
    template["spec"]["restartPolicy"] = json!("Never");
    set_env(&mut template, "OTEL_SERVICE_NAME", CRONJOB)?;
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": CRONJOB, "namespace": install.namespace},
        "spec": {
            "schedule": "* * * * *",
            // One is enough: it serves until it is deleted.
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": template}},
        },
    });
    // user-service runs as a Deployment, and may not read what it does not need. A Job wants to know its CronJob.
    let account = text(&template, "/spec/serviceAccountName")?;
    let subject = format!("--serviceaccount={}:{account}", install.namespace);
    install.kubectl(["create", "role", CRONJOB, "--verb", "get", "--resource", "jobs.batch"]).await?;
    install.kubectl(["create", "rolebinding", CRONJOB, "--role", CRONJOB, &subject]).await?;
    install.cluster.feed(["apply"], &job.to_string()).await.map(drop)
}

pub(crate) async fn cronjob(install: &Install) -> Result<()> {
    let pod = running(install, CRONJOB).await?;
    let trace = user(install, &pod, CRONJOB).await?;
    let owners = owners(install, &pod, &["Job", "CronJob"]).await?;
    let of_itself = target_info(install, &pod).await?;
    let mut expected = of_pod(install, &pod).await?;
    expected.extend(owners.iter().cloned());
    // It started alone, on nodes that had little else to do.
    expected.extend(reported(&pod));
    let mut wrong = differences(&trace, CRONJOB, &expected)?;
    // The agent could have filled these in: the process has to know them by itself.
    for (key, value) in owners {
        let label = key.replace('.', "_");
        if of_itself.get(&label).map(String::as_str) != value.as_str() {
            wrong.push(format!("target_info: {label} must be {value} in {of_itself:?}"));
        }
    }
    for kind in ["cronjob", "rolebinding", "role"] {
        install.kubectl(["delete", kind, CRONJOB, "--wait", "--cascade=foreground"]).await?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The resource as the process itself has it, which it serves to Prometheus.
async fn target_info(install: &Install, pod: &Json) -> Result<BTreeMap<String, String>> {
    let target = format!("pod/{}", text(pod, "/metadata/name")?);
    let forward = Forward::start(&install.cluster, install.namespace, &target, 2112).await?;
    let response = install.http.get(forward.url()?.join("metrics")?).send().await?.error_for_status()?;
    let samples = Samples::parse(&response.text().await?)?;
    let info = samples.matching("target_info", &[]).next().context("there is no target_info")?;
    Ok(info.labels.clone())
}

pub(crate) async fn filled_in(install: &Install) -> Result<()> {
    let mut template = template(install, UNAWARE).await?;
    // Without these two the detector takes itself to be outside of any cluster. The one attribute is a lie that has to
    // survive: who says something of itself is believed.
    set_env(&mut template, "KUBERNETES_SERVICE_HOST", "")?;
    set_env(&mut template, "OTEL_RESOURCE_ATTRIBUTES", "k8s.namespace.name=of-its-own")?;
    set_env(&mut template, "OTEL_SERVICE_NAME", UNAWARE)?;
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": UNAWARE, "namespace": install.namespace, "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    });
    install.cluster.feed(["apply"], &pod.to_string()).await?;
    let pod = running(install, UNAWARE).await?;
    let trace = user(install, &pod, UNAWARE).await?;
    let mut expected = vec![("k8s.namespace.name".to_owned(), json!("of-its-own"))];
    let known = ["k8s.pod.name", "k8s.pod.uid", "k8s.pod.ip", "k8s.node.name", "k8s.cluster.uid"];
    let all = of_pod(install, &pod).await?;
    expected.extend(all.into_iter().filter(|(key, _)| known.contains(&key.as_str())));
    let wrong = differences(&trace, UNAWARE, &expected)?;
    install.kubectl(["delete", "pod", UNAWARE, "--wait"]).await?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The pod of this label, when it is ready: a job comes with the minute.
async fn running(install: &Install, app: &str) -> Result<Json> {
    let check = async || {
        let pods = install.list("pods", &format!("app={app}")).await?;
        let pod = pods.into_iter().next().context("there is none")?;
        let is_ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        ensure!(is_ready, "its status is {}", pod["status"]);
        Ok(pod)
    };
    eventually(format!("a pod of {app} is ready"), DEFAULT_TIMEOUT * 2, check).await
}

/// A user is asked for of this pod.
async fn user(install: &Install, pod: &Json, service: &str) -> Result<Trace> {
    let target = format!("pod/{}", text(pod, "/metadata/name")?);
    let forward = Forward::start(&install.cluster, install.namespace, &target, 8080).await?;
    let response = Caller::new().get(&install.http, &forward.url()?, "users/7").await?;
    ensure!(response.status == 200, "{response:?}");
    install.wait_for_trace(&response.trace, &USER.replace("user-service", service)).await
}
