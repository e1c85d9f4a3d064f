//! What the pods hold, as their kubelets count it: no metrics-server is needed.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sightline_tests::poll::eventually;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cluster::Cluster;
use crate::install::{DEFAULT_TIMEOUT, text};

const MIB: f64 = 1024.0 * 1024.0;

/// One pod.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) pod: String,
    /// What cannot be given back: anonymous memory.
    pub(crate) resident: f64,
    /// That, and the files used of late: what `kubectl top` shows and a limit is held against.
    pub(crate) working_set: f64,
}

/// MiB of each pod of a namespace, as it is now: a kubelet counts every ten seconds or so, and is waited for. Fails
/// where one does not response.
pub(crate) async fn held(cluster: &Cluster, namespace: &str) -> Result<Vec<Held>> {
    let asked = OffsetDateTime::now_utc();
    eventually("every kubelet has counted", DEFAULT_TIMEOUT, async || count(cluster, namespace, asked).await).await
}

async fn count(cluster: &Cluster, namespace: &str, since: OffsetDateTime) -> Result<Vec<Held>> {
    let nodes = cluster.get(["nodes"]).await?;
    let mut held = Vec::new();
    for node in nodes["items"].as_array().into_iter().flatten() {
        let path = format!("/api/v1/nodes/{}/proxy/stats/summary", text(node, "/metadata/name")?);
        let response = cluster.kubectl(["get", "--raw", &path]).await?;
        let summary: Value = serde_json::from_str(&response).context("the kubelet's response is not JSON")?;
        for pod in summary["pods"].as_array().into_iter().flatten() {
            if pod["podRef"]["namespace"] == namespace {
                for each in pod["containers"].as_array().into_iter().flatten() {
                    let counted = OffsetDateTime::parse(text(each, "/memory/time")?, &Rfc3339)?;
                    ensure!(counted > since, "its last count is of {counted}");
                }
                let sum = |key: &str| {
                    let containers = pod["containers"].as_array().into_iter().flatten();
                    containers.filter_map(|each| each["memory"][key].as_f64()).sum::<f64>() / MIB
                };
                held.push(Held {
                    pod: text(pod, "/podRef/name")?.to_owned(),
                    resident: sum("rssBytes"),
                    working_set: sum("workingSetBytes"),
                });
            }
        }
    }
    held.sort_by(|one, other| one.pod.cmp(&other.pod));
    Ok(held)
}

/// The same as a table, with a sum.
pub(crate) fn table(held: &[Held]) -> String {
    let mut text = format!("{:<50} {:>9} {:>12}", "pod", "resident", "working set");
    let sum = |of: fn(&Held) -> f64| held.iter().map(of).sum();
    let all = Held {
        pod: "together".to_owned(),
        resident: sum(|pod| pod.resident),
        working_set: sum(|pod| pod.working_set),
    };
    for Held { pod, resident, working_set } in held.iter().chain([&all]) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{pod:<50} {resident:>9.1} {working_set:>12.1}");
    }
    text
}
