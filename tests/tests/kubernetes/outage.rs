//! Jaeger is away for longer than the gateways can hold its spans in memory: they refuse before the kernel ends them,
//! agents keep on disk what is refused, and all of it is there in the end.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use sightline::jaeger::Jaeger;
use sightline_tests::poll::eventually;
use sightline_tests::prometheus::Samples;
use sightline_tests::traffic::{ServedOrders, Traffic};

use crate::cluster::Cluster;
use crate::forward::Forward;
use crate::install::{RELEASE, DEFAULT_TIMEOUT, selector, text};
use crate::progress;

/// The values that the release is to have, as a file.
pub(crate) const VALUES: &str = "tests/tests/kubernetes/outage.yaml";

/// Series of orders side by side, and the time between two orders of one: as many as two processors serve.
const SERIES: usize = 6;
const PACE: Duration = Duration::from_millis(5);

/// Series whose traces are read back, each half a minute's work. What ends a gateway takes of every series alike.
const READ: usize = 2;

/// How long it may take on a slow machine until gateways are full.
const FULL: Duration = Duration::from_mins(4);

/// How long the pipeline may be behind when Jaeger is back. Agents and gateways wait for up to 15 s between attempts.
const CATCH_UP: Duration = Duration::from_mins(4);

/// What the Collector's receivers call spans that a memory limiter behind them did not take.
const REFUSED: &str = "otelcol_receiver_refused_spans";

/// Takes Jaeger away under load until every gateway refuses, and brings it back. The release is to be set up by
/// [`VALUES`], and to store in memory: what it is about is not how fast a disk is.
pub(crate) async fn of_jaeger(cluster: &Cluster, namespace: &str) -> Result<()> {
    let outage = Outage { cluster, namespace };
    let orders = Forward::start(cluster, namespace, "svc/sightline-order-service", 8081).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    outage.scale(0).await?;
    progress("Jaeger is away");
    let url = orders.url()?;
    let series: Vec<_> = (0..SERIES).map(|_| Traffic::start(&http, &url, PACE)).collect();
    let full = eventually("every gateway refuses", FULL, async || outage.every_gateway_refuses().await).await;
    let mut served = Vec::new();
    for each in series {
        served.push(each.stop().await?);
    }
    full?;
    let count: usize = served.iter().map(ServedOrders::count).sum();
    progress(format!("gateways refuse after {count} orders; Jaeger comes back"));
    outage.scale(1).await?;
    let jaeger = Forward::start(cluster, namespace, "svc/sightline-jaeger", 16686).await?;
    let jaeger = Jaeger::local(jaeger.port())?;
    for each in served.iter().take(READ) {
        each.wait_for_complete_traces(&jaeger, CATCH_UP).await?;
    }
    outage.nothing_restarted().await
}

struct Outage<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
}

impl Outage<'_> {
    async fn scale(&self, replicas: usize) -> Result<()> {
        let jaeger = format!("deployment/{RELEASE}-jaeger");
        let count = format!("--replicas={replicas}");
        self.cluster.kubectl(["scale", &jaeger, &count, "--namespace", self.namespace]).await?;
        self.cluster.rolled_out(self.namespace, &jaeger).await?;
        let check = async || {
            let there = self.pods("jaeger").await?.len();
            ensure!(there == replicas, "there are {there}");
            Ok(())
        };
        eventually(format!("there are {replicas} pods of Jaeger"), DEFAULT_TIMEOUT, check).await
    }

    async fn every_gateway_refuses(&self) -> Result<()> {
        for pod in self.pods("gateway").await? {
            let name = text(&pod, "/metadata/name")?;
            let path = format!("/api/v1/namespaces/{}/pods/{name}:8888/proxy/metrics", self.namespace);
            let samples = Samples::parse(&self.cluster.kubectl(["get", "--raw", &path]).await?)?;
            let refused = samples.sum(REFUSED, &[]).unwrap_or_default();
            ensure!(refused > 0.0, "{name} has refused nothing");
        }
        Ok(())
    }

    async fn nothing_restarted(&self) -> Result<()> {
        for part in ["agent", "gateway", "jaeger"] {
            let starts = self.cluster.restart_counts(self.namespace, &selector(part)).await?;
            ensure!(!starts.is_empty(), "no {part} runs");
            ensure!(starts.values().all(|again| *again == 0), "restarted: {starts:?}");
        }
        Ok(())
    }

    /// Also those that are about to end.
    async fn pods(&self, part: &str) -> Result<Vec<Value>> {
        self.cluster.list(self.namespace, "pods", &selector(part)).await
    }
}
