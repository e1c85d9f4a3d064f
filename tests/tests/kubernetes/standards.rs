//! What the cluster itself says of the installation.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::install::{Install, READY, RELEASE, SERVICES, text};

/// The namespace enforces what it says, so that pods that run there meet it.
pub(crate) async fn enforced(install: &Install) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "loose", "namespace": install.namespace},
        "spec": {"containers": [{"name": "loose", "image": "sightline/otelcol"}]},
    });
    let admitted = install.cluster.feed(["create", "--dry-run=server"], &pod.to_string()).await;
    let refusal = admitted.err().context("a pod without a security context was admitted")?;
    let refusal = format!("{refusal:#}");
    ensure!(refusal.contains("violates PodSecurity \"restricted"), "{refusal}");
    for part in SERVICES.into_iter().chain(["agent", "gateway", "jaeger"]) {
        let pods = install.pods(part).await?;
        let is_ready = |pod: &&serde_json::Value| {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|each| each["type"] == "Ready" && each["status"] == "True")
        };
        let ready = pods.iter().filter(is_ready).count();
        ensure!(ready > 0 && ready == pods.len(), "{ready} of {} pods of {part} are ready", pods.len());
    }
    let starts = install.restart_counts().await?;
    ensure!(starts.values().all(|&restarts| restarts == 0), "containers were started again: {starts:?}");
    Ok(())
}

pub(crate) async fn agents(install: &Install) -> Result<()> {
    let nodes = install.cluster.get(["nodes"]).await?;
    let nodes = nodes["items"].as_array().map_or(0, Vec::len);
    let agents = install.pods("agent").await?.len();
    ensure!(nodes >= 2 && agents == nodes, "{agents} agents on {nodes} nodes");
    Ok(())
}

/// Where one node is lost, a gateway is left.
pub(crate) async fn gateways(install: &Install) -> Result<()> {
    let pods = install.pods("gateway").await?;
    let nodes = pods.iter().map(|pod| text(pod, "/spec/nodeName")).collect::<Result<BTreeSet<_>>>()?;
    ensure!(nodes.len() >= 2, "{} gateways are all on {nodes:?}", pods.len());
    Ok(())
}

pub(crate) async fn helm_test(install: &Install) -> Result<()> {
    let args = ["test", RELEASE, "--namespace", install.namespace, "--timeout", READY, "--logs"];
    let said = install.cluster.helm(args).await?;
    ensure!(said.contains("12 spans"), "it does not show the trace of an order: {said}");
    Ok(())
}
