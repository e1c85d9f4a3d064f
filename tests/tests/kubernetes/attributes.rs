//! The Kubernetes attributes of each span match the data in the API server.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value as Json, json};
use sightline::jaeger::{Trace, Value};
use sightline_tests::caller::Caller;
use sightline_tests::examples::USER;
use sightline_tests::poll::eventually;
use sightline_tests::prometheus::Samples;

use crate::forward::Forward;
use crate::install::{DEFAULT_TIMEOUT, Install, RELEASE, SERVICES, text};

/// The name of a `CronJob` that runs user-service's image every minute.
const CRONJOB: &str = "user-report";

/// The name of a pod whose service does not detect that it runs in a cluster.
const UNDETECTED: &str = "undetected";

/// An attribute that the agent does not add. Its processor would report the time at which the pod was created.
const START_TIME: &str = "k8s.pod.start_time";

pub(crate) async fn services(install: &Install) -> Result<()> {
    let trace = install.request_order().await?;
    let mut wrong = Vec::new();
    for service in SERVICES {
        wrong.extend(deployment_differences(install, &trace, service).await?);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Compares the resource of the spans of a service that runs as a Deployment with one pod with the data in the API
/// server. Returns a message for each difference.
pub(crate) async fn deployment_differences(
    install: &Install,
    trace: &Trace,
    service: &str,
) -> Result<Vec<String>> {
    let pods = install.pods(service).await?;
    ensure!(pods.len() == 1, "{service} has {} pods", pods.len());
    let mut expected = pod_attributes(install, &pods[0]).await?;
    expected.extend(owner_attributes(install, &pods[0], &["ReplicaSet", "Deployment"]).await?);
    let mut wrong = differences(trace, service, &expected)?;
    let has = |key: &str| trace.spans_of(service).all(|span| span.resource_attribute(key).is_some());
    let optional = status_attributes(&pods[0]).into_iter();
    let optional: Vec<_> = optional.filter(|(key, _)| has(key)).collect();
    wrong.extend(differences(trace, service, &optional)?);
    Ok(wrong)
}

/// Returns the expected attributes from the pod's status, which the kubelet reports.
///
/// At startup, a service waits at most two seconds until the API server has these values. On a busy node, the kubelet
/// can report the values later than that. The service then starts without these attributes, and the agent does not add
/// them.
fn status_attributes(pod: &Json) -> Vec<(String, Json)> {
    let container = &pod["status"]["containerStatuses"][0];
    vec![
        (START_TIME.to_owned(), pod["status"]["startTime"].clone()),
        ("container.image.id".to_owned(), container["imageID"].clone()),
        ("k8s.container.restart_count".to_owned(), container["restartCount"].clone()),
    ]
}

/// Reads the expected attributes of a pod with one container, its node and its cluster from the API server. The
/// [`status_attributes`] are not included, because the kubelet can report them late.
async fn pod_attributes(install: &Install, pod: &Json) -> Result<Vec<(String, Json)>> {
    let node = install.cluster.get(["node", text(pod, "/spec/nodeName")?]).await?;
    let system = install.cluster.get(["namespace", "kube-system"]).await?;
    let image = text(pod, "/status/containerStatuses/0/image")?;
    let (name, tag) = image.rsplit_once(':').context("the image has no tag")?;
    let container = text(pod, "/status/containerStatuses/0/containerID")?;
    let (_, container) = container.split_once("://").context("the container ID does not name a runtime")?;
    let attributes = [
        ("k8s.pod.name", pod["metadata"]["name"].clone()),
        ("k8s.pod.uid", pod["metadata"]["uid"].clone()),
        ("k8s.pod.ip", pod["status"]["podIP"].clone()),
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

/// Returns the expected attributes for the controllers of a pod: the name and UID of each controller, starting with the
/// controller of the pod itself. Fails if the kinds of these controllers differ from `kinds`.
async fn owner_attributes(install: &Install, pod: &Json, kinds: &[&str]) -> Result<Vec<(String, Json)>> {
    let mut attributes = Vec::new();
    let mut object = pod.clone();
    for kind in kinds {
        let owners = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let owner = owners.into_iter().find(|owner| owner["controller"] == true);
        let owner = owner.with_context(|| format!("the pod has no controlling {kind}"))?;
        ensure!(owner["kind"] == *kind, "the controller is a {}, expected a {kind}", owner["kind"]);
        let name = text(&owner, "/name")?;
        object = install.cluster.get([*kind, name, "--namespace", install.namespace]).await?;
        let kind = kind.to_ascii_lowercase();
        attributes.push((format!("k8s.{kind}.name"), json!(name)));
        attributes.push((format!("k8s.{kind}.uid"), owner["uid"].clone()));
    }
    Ok(attributes)
}

/// Compares the resource of every span of a service with the expected attributes. Returns a message for each
/// difference.
fn differences(trace: &Trace, service: &str, expected: &[(String, Json)]) -> Result<Vec<String>> {
    ensure!(trace.spans_of(service).next().is_some(), "no span of {service} is stored");
    let mut wrong: Vec<_> = trace
        .spans_of(service)
        .flat_map(|span| expected.iter().map(move |(key, value)| (key, value, span.resource_attribute(key))))
        .filter(|(key, value, found)| !found.is_some_and(|found| equals(key, found, value)))
        .map(|(key, value, found)| match found {
            Some(found) => format!("{service}: {key} is {found}, expected {value}"),
            None => format!("{service}: {key} is missing, expected {value}"),
        })
        .collect();
    wrong.dedup();
    Ok(wrong)
}

/// Returns a message if the spans of a service that does not ask the API server have [`START_TIME`].
pub(crate) fn start_time_of_agent(trace: &Trace, service: &str) -> Option<String> {
    let found = trace.spans_of(service).find_map(|span| span.resource_attribute(START_TIME));
    found.map(|found| format!("{service}: {START_TIME} is {found}, and the agent does not know this time"))
}

/// Returns whether a stored attribute has the value that the API server reports.
fn equals(key: &str, found: &Value, expected: &Json) -> bool {
    match (found, expected) {
        // Jaeger's Badger storage keeps a list as JSON text.
        (Value::String(found), Json::Array(_)) => {
            serde_json::from_str::<Json>(found).is_ok_and(|found| found == *expected)
        }
        // A service reads the image name from the container status, to which the runtime adds the registry. If the
        // kubelet is late, the agent adds the attribute, with the image name from the pod spec.
        (Value::String(found), Json::String(expected)) if key == "container.image.name" => {
            found.trim_start_matches("docker.io/") == expected.trim_start_matches("docker.io/")
        }
        (Value::Int(found), Json::Number(expected)) => expected.as_i64() == Some(*found),
        (found, expected) => found.as_str().is_some() && found.as_str() == expected.as_str(),
    }
}

/// Returns user-service's pod template with the instance and `app` labels changed, so that no Service selects the pod.
/// The other labels are unchanged, because network policies use them.
async fn template(install: &Install, name: &str) -> Result<Json> {
    let deployment = "deployment/sightline-user-service";
    let deployment = install.cluster.get([deployment, "--namespace", install.namespace]).await?;
    let mut template = deployment["spec"]["template"].clone();
    let labels = template["metadata"]["labels"].as_object_mut().context("the pod template has no labels")?;
    labels.insert("app.kubernetes.io/instance".to_owned(), json!(format!("{RELEASE}-extra")));
    labels.insert("app".to_owned(), json!(name));
    if let Some(spec) = template["spec"].as_object_mut() {
        // A short grace period, so that the test does not have to wait long when it deletes the pod.
        spec.insert("terminationGracePeriodSeconds".to_owned(), json!(10));
    }
    Ok(template)
}

fn set_env(template: &mut Json, name: &str, value: &str) -> Result<()> {
    let env = template["spec"]["containers"][0]["env"]
        .as_array_mut()
        .context("the container has no environment")?;
    env.retain(|entry| entry["name"] != name);
    env.push(json!({"name": name, "value": value}));
    Ok(())
}

pub(crate) async fn create_cronjob(install: &Install) -> Result<()> {
    let mut template = template(install, CRONJOB).await?;
    template["spec"]["restartPolicy"] = json!("Never");
    set_env(&mut template, "OTEL_SERVICE_NAME", CRONJOB)?;
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": CRONJOB, "namespace": install.namespace},
        "spec": {
            "schedule": "* * * * *",
            // One job is enough, because it runs until it is deleted.
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": template}},
        },
    });
    // The service account of user-service is not allowed to read Jobs, because user-service runs as a Deployment. Here
    // the pod has to read its Job to find the CronJob.
    let account = text(&template, "/spec/serviceAccountName")?;
    let subject = format!("--serviceaccount={}:{account}", install.namespace);
    install.kubectl(["create", "role", CRONJOB, "--verb", "get", "--resource", "jobs.batch"]).await?;
    install.kubectl(["create", "rolebinding", CRONJOB, "--role", CRONJOB, &subject]).await?;
    install.cluster.kubectl_with_input(["apply"], &job.to_string()).await.map(drop)
}

pub(crate) async fn cronjob(install: &Install) -> Result<()> {
    let pod = wait_for_pod(install, CRONJOB).await?;
    let trace = request_user(install, &pod, CRONJOB).await?;
    let owners = owner_attributes(install, &pod, &["Job", "CronJob"]).await?;
    let target_info = target_info(install, &pod).await?;
    let mut expected = pod_attributes(install, &pod).await?;
    expected.extend(owners.iter().cloned());
    // In this test, the attributes from the status are required: no other pods start at the same time, so the
    // kubelet reports the values before the service stops waiting for them.
    expected.extend(status_attributes(&pod));
    let mut wrong = differences(&trace, CRONJOB, &expected)?;
    // The agent could have added the attributes of the Job and the CronJob to the spans. `target_info` shows whether
    // the process itself has them, as it must.
    for (key, value) in owners {
        let label = key.replace('.', "_");
        if target_info.get(&label).map(String::as_str) != value.as_str() {
            wrong.push(format!("target_info: expected {label} {value} in {target_info:?}"));
        }
    }
    for kind in ["cronjob", "rolebinding", "role"] {
        install.kubectl(["delete", kind, CRONJOB, "--wait", "--cascade=foreground"]).await?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Returns the labels of the metric `target_info`, which are the resource attributes that the process itself has.
async fn target_info(install: &Install, pod: &Json) -> Result<BTreeMap<String, String>> {
    let target = format!("pod/{}", text(pod, "/metadata/name")?);
    let forward = Forward::start(&install.cluster, install.namespace, &target, 2112).await?;
    let response = install.http.get(forward.url()?.join("metrics")?).send().await?.error_for_status()?;
    let samples = Samples::parse(&response.text().await?)?;
    let info = samples.matching("target_info", &[]).next().context("the metric target_info is missing")?;
    Ok(info.labels.clone())
}

pub(crate) async fn added_by_agent(install: &Install) -> Result<()> {
    // The namespace is wrong on purpose: the agent must not replace attributes that a service sets.
    let pod = create_undetected(install, UNDETECTED, "k8s.namespace.name=wrong-namespace").await?;
    let trace = request_user(install, &pod, UNDETECTED).await?;
    let mut expected = vec![("k8s.namespace.name".to_owned(), json!("wrong-namespace"))];
    let keys = ["k8s.pod.name", "k8s.pod.uid", "k8s.pod.ip", "k8s.node.name", "k8s.cluster.uid"];
    let all = pod_attributes(install, &pod).await?;
    expected.extend(all.into_iter().filter(|(key, _)| keys.contains(&key.as_str())));
    let mut wrong = differences(&trace, UNDETECTED, &expected)?;
    wrong.extend(start_time_of_agent(&trace, UNDETECTED));
    install.kubectl(["delete", "pod", UNDETECTED, "--wait"]).await?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Creates a pod of user-service that sends no Kubernetes attributes except those in `attributes`, which replace the ones
/// that the chart sets. Returns the pod when it is ready.
pub(crate) async fn create_undetected(install: &Install, name: &str, attributes: &str) -> Result<Json> {
    let mut template = template(install, name).await?;
    // Without KUBERNETES_SERVICE_HOST the resource detector assumes that it runs outside a cluster.
    set_env(&mut template, "KUBERNETES_SERVICE_HOST", "")?;
    set_env(&mut template, "OTEL_RESOURCE_ATTRIBUTES", attributes)?;
    set_env(&mut template, "OTEL_SERVICE_NAME", name)?;
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": install.namespace, "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    });
    install.cluster.kubectl_with_input(["apply"], &pod.to_string()).await?;
    wait_for_pod(install, name).await
}

/// Waits until a pod with this `app` label is ready, and returns it. A `CronJob` can take a minute to create its pod.
async fn wait_for_pod(install: &Install, app: &str) -> Result<Json> {
    let check = async || {
        let pods = install.list("pods", &format!("app={app}")).await?;
        let pod = pods.into_iter().next().context("there is no pod")?;
        let is_ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        ensure!(is_ready, "the pod status is {}", pod["status"]);
        Ok(pod)
    };
    eventually(format!("a pod of {app} is ready"), DEFAULT_TIMEOUT * 2, check).await
}

/// Requests a user from this pod, and returns the trace.
pub(crate) async fn request_user(install: &Install, pod: &Json, service: &str) -> Result<Trace> {
    let target = format!("pod/{}", text(pod, "/metadata/name")?);
    let forward = Forward::start(&install.cluster, install.namespace, &target, 8080).await?;
    let response = Caller::new().get(&install.http, &forward.url()?, "users/7").await?;
    ensure!(response.status == 200, "{response:?}");
    install.wait_for_trace(&response.trace, &USER.replace("user-service", service)).await
}
