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

/// The memory of one pod, in MiB.
#[derive(Debug)]
pub(crate) struct PodMemory {
    pub(crate) pod: String,
    /// Anonymous memory, which the kernel cannot reclaim.
    pub(crate) resident: f64,
    /// Resident memory and recently used file pages. `kubectl top` shows this value, and memory limits apply to it.
    pub(crate) working_set: f64,
}

/// Measures the memory of each pod in a namespace. The result is sorted by pod name.
///
/// A kubelet measures its pods about every ten seconds. This function waits until every kubelet has made a new
/// measurement. It fails if a kubelet does not respond.
pub(crate) async fn measure(cluster: &Cluster, namespace: &str) -> Result<Vec<PodMemory>> {
    let now = OffsetDateTime::now_utc();
    let check = async || read(cluster, namespace, now).await;
    eventually("every kubelet has measured its pods", DEFAULT_TIMEOUT, check).await
}

/// Reads the measurements of all kubelets. Fails if a measurement is not newer than `since`.
async fn read(cluster: &Cluster, namespace: &str, since: OffsetDateTime) -> Result<Vec<PodMemory>> {
    let nodes = cluster.get(["nodes"]).await?;
    let mut pods = Vec::new();
    for node in nodes["items"].as_array().into_iter().flatten() {
        let path = format!("/api/v1/nodes/{}/proxy/stats/summary", text(node, "/metadata/name")?);
        let response = cluster.kubectl(["get", "--raw", &path]).await?;
        let summary: Value =
            serde_json::from_str(&response).context("the response of the kubelet is not JSON")?;
        for pod in summary["pods"].as_array().into_iter().flatten() {
            if pod["podRef"]["namespace"] == namespace {
                for each in pod["containers"].as_array().into_iter().flatten() {
                    let measured = OffsetDateTime::parse(text(each, "/memory/time")?, &Rfc3339)?;
                    ensure!(measured > since, "the last measurement is from {measured}");
                }
                let sum = |key: &str| {
                    let containers = pod["containers"].as_array().into_iter().flatten();
                    containers.filter_map(|each| each["memory"][key].as_f64()).sum::<f64>() / MIB
                };
                pods.push(PodMemory {
                    pod: text(pod, "/podRef/name")?.to_owned(),
                    resident: sum("rssBytes"),
                    working_set: sum("workingSetBytes"),
                });
            }
        }
    }
    pods.sort_by(|one, other| one.pod.cmp(&other.pod));
    Ok(pods)
}

/// Formats the memory of pods as a table with a total.
pub(crate) fn table(pods: &[PodMemory]) -> String {
    let mut text = format!("{:<50} {:>9} {:>12}", "pod", "resident", "working set");
    let sum = |value: fn(&PodMemory) -> f64| pods.iter().map(value).sum();
    let total = PodMemory {
        pod: "total".to_owned(),
        resident: sum(|pod| pod.resident),
        working_set: sum(|pod| pod.working_set),
    };
    for PodMemory { pod, resident, working_set } in pods.iter().chain([&total]) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{pod:<50} {resident:>9.1} {working_set:>12.1}");
    }
    text
}
