//! Memory use of the pods. The kubelets report it, so metrics-server is not needed.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sightline_tests::poll::eventually;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cluster::Cluster;
use crate::install::{DEFAULT_TIMEOUT, text};

const MIB: f64 = 1024.0 * 1024.0;

/// The memory of one container, in MiB.
#[derive(Debug)]
pub(crate) struct ContainerMemory {
    /// The name of the pod, and the name of the container if the pod has several.
    pub(crate) name: String,
    /// Anonymous memory, which the kernel cannot reclaim.
    pub(crate) resident: f64,
    /// Resident memory and recently used file pages. `kubectl top` shows this value, and memory limits apply to it.
    pub(crate) working_set: f64,
}

/// Measures the memory of each container in a namespace. The result is sorted by name.
///
/// A kubelet measures its pods about every ten seconds. This function waits until every kubelet has made a new
/// measurement. It fails if a kubelet does not respond.
pub(crate) async fn measure(cluster: &Cluster, namespace: &str) -> Result<Vec<ContainerMemory>> {
    let now = OffsetDateTime::now_utc();
    let check = async || read(cluster, namespace, now).await;
    eventually("every kubelet has measured its pods", DEFAULT_TIMEOUT, check).await
}

/// Reads the measurements of all kubelets. Fails if a measurement is not newer than `since`.
async fn read(cluster: &Cluster, namespace: &str, since: OffsetDateTime) -> Result<Vec<ContainerMemory>> {
    let nodes = cluster.get(["nodes"]).await?;
    let mut all = Vec::new();
    for node in nodes["items"].as_array().into_iter().flatten() {
        let path = format!("/api/v1/nodes/{}/proxy/stats/summary", text(node, "/metadata/name")?);
        let response = cluster.kubectl(["get", "--raw", &path]).await?;
        let summary: Value =
            serde_json::from_str(&response).context("the response of the kubelet is not JSON")?;
        for pod in summary["pods"].as_array().into_iter().flatten() {
            if pod["podRef"]["namespace"] == namespace {
                let containers = pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
                for each in containers {
                    let measured = OffsetDateTime::parse(text(each, "/memory/time")?, &Rfc3339)?;
                    ensure!(measured > since, "the last measurement is from {measured}");
                    let pod = text(pod, "/podRef/name")?;
                    let name = match containers {
                        [_] => pod.to_owned(),
                        _ => format!("{pod} {}", text(each, "/name")?),
                    };
                    let mebibytes = |key: &str| each["memory"][key].as_f64().unwrap_or_default() / MIB;
                    all.push(ContainerMemory {
                        name,
                        resident: mebibytes("rssBytes"),
                        working_set: mebibytes("workingSetBytes"),
                    });
                }
            }
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// Formats the memory of containers as a table with a total.
pub(crate) fn table(containers: &[ContainerMemory]) -> String {
    let mut text = format!("{:<50} {:>9} {:>12}", "pod, container", "resident", "working set");
    let sum = |value: fn(&ContainerMemory) -> f64| containers.iter().map(value).sum();
    let total = ContainerMemory {
        name: "total".to_owned(),
        resident: sum(|container| container.resident),
        working_set: sum(|container| container.working_set),
    };
    for ContainerMemory { name, resident, working_set } in containers.iter().chain([&total]) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{name:<50} {resident:>9.1} {working_set:>12.1}");
    }
    text
}
