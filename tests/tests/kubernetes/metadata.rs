//! The agent of a node starts, and passes telemetry on, while the API server is away.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value as Json;
use sightline::jaeger::Trace;
use sightline_tests::poll::eventually;

use crate::attributes::{create_undetected, request_user};
use crate::install::{DEFAULT_TIMEOUT, Install, text};
use crate::progress;

/// The name of a pod whose service sends no Kubernetes attributes itself.
const NAME: &str = "unknown";

/// The address that sent the data of an unknown pod: see `collector-config/agent-kubernetes.yaml`.
const SENDER: &str = "sightline.sender.address";

/// The maximum time from the return of the API server until the agent knows the pods: its client waits up to 30 s for a
/// connection, and up to 30 s between two attempts.
const RETURN_TIMEOUT: Duration = Duration::from_mins(2);

/// Drops the packets of one agent to the API server and restarts its container. The telemetry of its node must still be
/// stored, without the attributes that only the API server knows, and with these after the API server has returned.
pub(crate) async fn agent_starts_without_the_api_server(install: &Install) -> Result<()> {
    let sender = create_undetected(install, NAME, "").await?;
    let node = text(&sender, "/spec/nodeName")?;
    let agent = agent_of(install, node).await?;
    let rule = ["-s", text(&agent, "/status/podIP")?, "-p", "tcp", "--dport", "443", "-j", "DROP"];
    // In this chain, the destination is still the address of the Service `kubernetes`.
    let iptables = async |action: &str| {
        let command = ["exec", node, "iptables", "--wait", "-t", "mangle", action, "PREROUTING"];
        install.cluster.docker(command.into_iter().chain(rule)).await.map(drop)
    };
    iptables("-I").await?;
    progress(format!("the agent of {node} cannot reach the API server"));
    let outcome = restarts_and_passes_on(install, &agent, &sender).await;
    iptables("-D").await?;
    outcome?;
    let check = async || {
        let trace = request_user(install, &sender, NAME).await?;
        ensure!(attribute(&trace, "k8s.pod.name") == sender["metadata"]["name"].as_str(), "no name");
        ensure!(attribute(&trace, SENDER).is_none(), "the resource still has {SENDER}");
        Ok(())
    };
    eventually("the agent adds the attributes of the pod again", RETURN_TIMEOUT, check).await?;
    install.kubectl(["delete", "pod", NAME, "--wait"]).await.map(drop)
}

async fn restarts_and_passes_on(install: &Install, agent: &Json, sender: &Json) -> Result<()> {
    let (name, node) = (text(agent, "/metadata/name")?, text(agent, "/spec/nodeName")?);
    let restarts = |pod: &Json| pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
    let before = restarts(agent).context("the agent's pod has no container")?;
    let (_, container) = text(agent, "/status/containerStatuses/0/containerID")?
        .split_once("://")
        .context("the container ID does not name a runtime")?;
    // Every node that runs containerd has this program, and not every node has `crictl`.
    let kill =
        ["exec", node, "ctr", "--namespace", "k8s.io", "task", "kill", "--signal", "SIGKILL", container];
    install.cluster.docker(kill).await?;
    let check = async || {
        let pod = install.cluster.get(["pod", name, "--namespace", install.namespace]).await?;
        ensure!(restarts(&pod) > Some(before), "the container has not restarted");
        let is_ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        ensure!(is_ready, "the pod status is {}", pod["status"]);
        Ok(pod)
    };
    let pod = eventually(format!("{name} is ready without the API server"), DEFAULT_TIMEOUT, check).await?;
    ensure!(restarts(&pod) == Some(before + 1), "the agent has restarted again: {}", pod["status"]);

    let trace = request_user(install, sender, NAME).await?;
    ensure!(attribute(&trace, "k8s.pod.name").is_none(), "the agent knows the pod");
    let address = attribute(&trace, SENDER);
    let expected = sender["status"]["podIP"].as_str();
    ensure!(address == expected, "{SENDER} is {address:?}, not {expected:?}");
    Ok(())
}

/// Returns the pod of the agent on a node.
async fn agent_of(install: &Install, node: &str) -> Result<Json> {
    let agents = install.pods("agent").await?;
    let agent = agents.into_iter().find(|pod| pod["spec"]["nodeName"] == node);
    agent.with_context(|| format!("there is no agent on {node}"))
}

/// An attribute of the resource of the service.
fn attribute<'a>(trace: &'a Trace, key: &str) -> Option<&'a str> {
    trace.spans_of(NAME).next()?.resource_attribute(key)?.as_str()
}
