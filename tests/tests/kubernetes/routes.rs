//! When the addresses of Services lead to their pods.

use anyhow::{Result, ensure};
use sightline_tests::poll::eventually;

use crate::cluster::Cluster;
use crate::install::{DEFAULT_TIMEOUT, text};

/// Waits until every node leads the address of every Service of a namespace to its pods.
///
/// Pods may be ready before that, and until then such an address leads wherever the node's own network leads. What
/// answers there, as a proxy for all addresses does, would be taken for the other service, for as long as it keeps the
/// connection.
pub(crate) async fn wait_for_service_routes(cluster: &Cluster, namespace: &str) -> Result<()> {
    let services = cluster.get(["services", "--namespace", namespace]).await?;
    let services = services["items"].as_array().cloned().unwrap_or_default();
    // A headless one has the addresses of its pods.
    let addresses = services.iter().filter_map(|service| service["spec"]["clusterIP"].as_str());
    let addresses: Vec<_> = addresses.filter(|address| *address != "None").collect();
    let nodes = cluster.get(["nodes"]).await?;
    for node in nodes["items"].as_array().into_iter().flatten() {
        let name = text(node, "/metadata/name")?;
        let check = async || {
            // A node of kind is a container, whose kube-proxy writes these rules once a pod is ready.
            let rules = cluster.docker(["exec", name, "iptables-save", "--table", "nat"]).await?;
            let leads = |address: &str| {
                rules.lines().any(|rule| {
                    rule.contains(&format!(" -d {address}/32 "))
                        && (rule.contains(" -j KUBE-SVC-") || rule.contains(" -j KUBE-SVL-"))
                })
            };
            let missing = addresses.iter().find(|address| !leads(address));
            ensure!(missing.is_none(), "{missing:?} leads to no pod");
            Ok(())
        };
        eventually(format!("node {name} has the addresses of {namespace}"), DEFAULT_TIMEOUT, check).await?;
    }
    Ok(())
}
