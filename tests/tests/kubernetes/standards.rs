//! Tests of the installation as a whole: Pod Security Standards, scheduling and `helm test`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::install::{HELM_TIMEOUT, Install, RELEASE, SERVICES, text};

/// Checks that the namespace enforces the `restricted` Pod Security Standard and that all pods of the release are ready
/// there. This shows that the pods meet the standard.
pub(crate) async fn restricted_pods(install: &Install) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "unrestricted", "namespace": install.namespace},
        "spec": {"containers": [{"name": "unrestricted", "image": "sightline/otelcol"}]},
    });
    let outcome = install.cluster.kubectl_with_input(["create", "--dry-run=server"], &pod.to_string()).await;
    let error = outcome.err().context("the API server admitted a pod without a security context")?;
    let error = format!("{error:#}");
    ensure!(error.contains("violates PodSecurity \"restricted"), "{error}");
    for component in SERVICES.into_iter().chain(["agent", "gateway", "jaeger"]) {
        let pods = install.pods(component).await?;
        let is_ready = |pod: &&serde_json::Value| {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|each| each["type"] == "Ready" && each["status"] == "True")
        };
        let ready = pods.iter().filter(is_ready).count();
        ensure!(ready > 0 && ready == pods.len(), "{ready} of {} pods of {component} are ready", pods.len());
    }
    let restarts = install.restart_counts().await?;
    ensure!(restarts.values().all(|&count| count == 0), "containers have restarted: {restarts:?}");
    Ok(())
}

pub(crate) async fn agent_nodes(install: &Install) -> Result<()> {
    let nodes = install.cluster.get(["nodes"]).await?;
    let nodes = nodes["items"].as_array().map_or(0, Vec::len);
    let agents = install.pods("agent").await?.len();
    ensure!(nodes >= 2 && agents == nodes, "there are {agents} agents on {nodes} nodes");
    Ok(())
}

/// Checks that the gateways run on at least two nodes, so that a gateway remains if one node fails.
pub(crate) async fn gateway_nodes(install: &Install) -> Result<()> {
    let pods = install.pods("gateway").await?;
    let nodes = pods.iter().map(|pod| text(pod, "/spec/nodeName")).collect::<Result<BTreeSet<_>>>()?;
    ensure!(nodes.len() >= 2, "all {} gateways are on {nodes:?}", pods.len());
    Ok(())
}

pub(crate) async fn jaeger_ui(install: &Install) -> Result<()> {
    sightline_tests::jaeger_ui::check(&install.http, install.jaeger.address()).await
}

pub(crate) async fn helm_test(install: &Install) -> Result<()> {
    let args = ["test", RELEASE, "--namespace", install.namespace, "--timeout", HELM_TIMEOUT, "--logs"];
    let output = install.cluster.helm(args).await?;
    for text in ["12 spans", "The stores have 3 log records of the trace, and the metrics of order-service"] {
        ensure!(output.contains(text), "the output of helm test does not contain {text:?}: {output}");
    }
    Ok(())
}
