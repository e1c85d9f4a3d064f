//! Waits until the nodes route the addresses of Services to pods.

use anyhow::{Result, ensure};
use sightline_tests::poll::eventually;

use crate::cluster::Cluster;
use crate::install::{DEFAULT_TIMEOUT, text};

/// Waits until every node routes the cluster IP of every Service in a namespace to pods.
///
/// Pods can be ready before these routes exist. Until the routes exist, connections to a cluster IP leave the node
/// through the node's own network. If a proxy in that network accepts connections to any address, a client without TLS
/// is connected to the proxy instead of the Service, and stays connected to it.
pub(crate) async fn wait_for_service_routes(cluster: &Cluster, namespace: &str) -> Result<()> {
    let services = cluster.get(["services", "--namespace", namespace]).await?;
    let services = services["items"].as_array().cloned().unwrap_or_default();
    // A headless Service has no cluster IP.
    let addresses = services.iter().filter_map(|service| service["spec"]["clusterIP"].as_str());
    let addresses: Vec<_> = addresses.filter(|address| *address != "None").collect();
    let nodes = cluster.get(["nodes"]).await?;
    for node in nodes["items"].as_array().into_iter().flatten() {
        let name = text(node, "/metadata/name")?;
        let check = async || {
            // A kind node is a container. When a pod of a Service is ready, kube-proxy adds a rule to each node.
            let rules = cluster.docker(["exec", name, "iptables-save", "--table", "nat"]).await?;
            let is_routed = |address: &str| {
                rules.lines().any(|rule| {
                    rule.contains(&format!(" -d {address}/32 "))
                        && (rule.contains(" -j KUBE-SVC-") || rule.contains(" -j KUBE-SVL-"))
                })
            };
            let missing = addresses.iter().find(|address| !is_routed(address));
            ensure!(missing.is_none(), "{missing:?} is not routed to a pod");
            Ok(())
        };
        eventually(format!("node {name} routes the Services of {namespace}"), DEFAULT_TIMEOUT, check).await?;
    }
    Ok(())
}
