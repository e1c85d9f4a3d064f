//! Jaeger is down for longer than the gateways can keep spans in memory. The gateways must refuse spans before they use
//! so much memory that the kernel kills them. The agents must queue the refused spans on disk. When Jaeger is running
//! again, all spans must be stored.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use sightline::jaeger::Jaeger;
use sightline_tests::poll::eventually;
use sightline_tests::prometheus::Samples;
use sightline_tests::traffic::{ServedOrders, Traffic};

use crate::cluster::Cluster;
use crate::forward::Forward;
use crate::install::{DEFAULT_TIMEOUT, RELEASE, selector, text};
use crate::progress;

/// The values file for the release under test.
pub(crate) const VALUES: &str = "tests/tests/kubernetes/outage.yaml";

/// The number of concurrent series of orders. In a series, one order is requested after another. A machine with two
/// processors cannot serve more series.
const SERIES: usize = 6;

/// The time between two orders of a series.
const PERIOD: Duration = Duration::from_millis(5);

/// The number of series whose traces are checked. Two are enough, because a gateway that is killed loses spans of every
/// series. Checking the traces of one series takes half a minute.
const CHECKED_SERIES: usize = 2;

/// The maximum time from the first order until every gateway refuses spans, on a slow machine.
const REFUSAL_TIMEOUT: Duration = Duration::from_mins(4);

/// The maximum time from Jaeger's restart until all spans are stored. Agents and gateways wait up to 15 s between
/// attempts.
const STORE_TIMEOUT: Duration = Duration::from_mins(4);

/// The Collector's metric for spans that its memory limiter refused.
const REFUSED_SPANS: &str = "otelcol_receiver_refused_spans";

/// Stops Jaeger and sends orders until every gateway refuses spans. Then starts Jaeger again and checks that no span is
/// lost.
///
/// The release must use [`VALUES`] and store traces in memory, so that the speed of the disk does not matter.
pub(crate) async fn survives_jaeger_outage(cluster: &Cluster, namespace: &str) -> Result<()> {
    let outage = Outage { cluster, namespace };
    let orders = Forward::start(cluster, namespace, "svc/sightline-order-service", 8081).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    outage.scale(0).await?;
    progress("Jaeger is stopped");
    let url = orders.url()?;
    let series: Vec<_> = (0..SERIES).map(|_| Traffic::start(&http, &url, PERIOD)).collect();
    let check = async || outage.every_gateway_refuses().await;
    let refused = eventually("every gateway refuses spans", REFUSAL_TIMEOUT, check).await;
    let mut served = Vec::new();
    for each in series {
        served.push(each.stop().await?);
    }
    refused?;
    let count: usize = served.iter().map(ServedOrders::count).sum();
    progress(format!("every gateway refuses spans after {count} orders; starting Jaeger"));
    outage.scale(1).await?;
    let jaeger = Forward::start(cluster, namespace, "svc/sightline-jaeger", 16686).await?;
    let jaeger = Jaeger::local(jaeger.port())?;
    for each in served.iter().take(CHECKED_SERIES) {
        each.wait_for_complete_traces(&jaeger, STORE_TIMEOUT).await?;
    }
    outage.nothing_restarted().await
}

struct Outage<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
}

impl Outage<'_> {
    /// Scales Jaeger and waits until it has this number of pods.
    async fn scale(&self, replicas: usize) -> Result<()> {
        let jaeger = format!("deployment/{RELEASE}-jaeger");
        let count = format!("--replicas={replicas}");
        self.cluster.kubectl(["scale", &jaeger, &count, "--namespace", self.namespace]).await?;
        self.cluster.wait_for_rollout(self.namespace, &jaeger).await?;
        let check = async || {
            let pods = self.pods("jaeger").await?.len();
            ensure!(pods == replicas, "Jaeger has {pods} pods");
            Ok(())
        };
        eventually(format!("the number of Jaeger pods is {replicas}"), DEFAULT_TIMEOUT, check).await
    }

    async fn every_gateway_refuses(&self) -> Result<()> {
        for pod in self.pods("gateway").await? {
            let name = text(&pod, "/metadata/name")?;
            let path = format!("/api/v1/namespaces/{}/pods/{name}:8888/proxy/metrics", self.namespace);
            let samples = Samples::parse(&self.cluster.kubectl(["get", "--raw", &path]).await?)?;
            let refused = samples.sum(REFUSED_SPANS, &[]).unwrap_or_default();
            ensure!(refused > 0.0, "{name} has not refused spans");
        }
        Ok(())
    }

    async fn nothing_restarted(&self) -> Result<()> {
        for component in ["agent", "gateway", "jaeger"] {
            let restarts = self.cluster.restart_counts(self.namespace, &selector(component)).await?;
            ensure!(!restarts.is_empty(), "no {component} pod is running");
            ensure!(restarts.values().all(|count| *count == 0), "containers have restarted: {restarts:?}");
        }
        Ok(())
    }

    /// Returns the pods of a component, including those that are terminating.
    async fn pods(&self, component: &str) -> Result<Vec<Value>> {
        self.cluster.list(self.namespace, "pods", &selector(component)).await
    }
}
