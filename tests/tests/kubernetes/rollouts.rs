//! Pods are replaced under load, as in an upgrade or a node drain. No request fails and no span is lost.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sightline_tests::poll::eventually;
use sightline_tests::traffic::Traffic;

use crate::install::{DEFAULT_TIMEOUT, Install, RELEASE, selector, text};
use crate::progress;

/// The time between two orders. At this rate, the queue of order-service has room for the spans of 14 seconds: it holds
/// 2048 spans, and order-service creates seven spans for each order.
pub(crate) const PERIOD: Duration = Duration::from_millis(50);

/// The number of orders that are served before the pods are replaced, and again after that.
pub(crate) const ORDERS: usize = 60;

/// The timeout for [`ORDERS`] orders, on a busy machine.
pub(crate) const ORDERS_TIMEOUT: Duration = Duration::from_mins(1);

/// The maximum time from a deletion, or from the end of a rollout, until the old pods are gone. A pod terminates within
/// its grace period.
const REPLACE_TIMEOUT: Duration = Duration::from_secs(90);

pub(crate) async fn user_service(install: &Install) -> Result<()> {
    survives_rollout(install, "user-service").await
}

/// order-service calls inventory-service over one long-lived connection.
pub(crate) async fn inventory_service(install: &Install) -> Result<()> {
    survives_rollout(install, "inventory-service").await
}

async fn survives_rollout(install: &Install, service: &str) -> Result<()> {
    let workload = format!("deployment/{RELEASE}-{service}");
    let before = pod_uids(install, service).await?;
    let mut traffic = start_traffic(install).await?;
    traffic.begin_phase(format!("rollout of {service}"));
    install.kubectl(["rollout", "restart", &workload]).await?;
    install.wait_for_rollout(&workload).await?;
    wait_until_gone(install, service, &before).await?;
    finish_traffic(install, traffic).await
}

pub(crate) async fn gateway(install: &Install) -> Result<()> {
    survives_deletion(install, "gateway", "statefulset/sightline-gateway").await
}

pub(crate) async fn agent(install: &Install) -> Result<()> {
    survives_deletion(install, "agent", "daemonset/sightline-agent").await
}

/// Deletes one pod of a component under load. If possible, this is the pod on order-service's node, because the agent
/// on that node receives order-service's spans. The node of a gateway does not matter, because all gateways receive
/// spans.
async fn survives_deletion(install: &Install, component: &str, workload: &str) -> Result<()> {
    let orders = install.pods("order-service").await?;
    let node = orders.first().map(|pod| text(pod, "/spec/nodeName")).transpose()?.unwrap_or_default();
    let pods = install.pods(component).await?;
    let pod = pods.iter().find(|pod| pod["spec"]["nodeName"] == node).or(pods.first());
    let pod = pod.with_context(|| format!("there is no {component} pod"))?;
    let name = text(pod, "/metadata/name")?.to_owned();
    let uid = text(pod, "/metadata/uid")?.to_owned();
    let mut traffic = start_traffic(install).await?;
    traffic.begin_phase(format!("{name} is deleted"));
    let started = Instant::now();
    install.kubectl(["delete", "pod", &name, "--wait=false"]).await?;
    wait_until_gone(install, component, &[uid]).await?;
    traffic.begin_phase(format!("{name} is gone"));
    install.wait_for_rollout(workload).await?;
    progress(format!("{name} was replaced in {:.1} s", started.elapsed().as_secs_f64()));
    finish_traffic(install, traffic).await
}

async fn pod_uids(install: &Install, component: &str) -> Result<Vec<String>> {
    let pods = install.pods(component).await?;
    pods.iter().map(|pod| Ok(text(pod, "/metadata/uid")?.to_owned())).collect()
}

/// Waits until none of these pods exists.
async fn wait_until_gone(install: &Install, component: &str, uids: &[String]) -> Result<()> {
    let check = async || {
        let pods = install.list("pods", &selector(component)).await?;
        let is_old = |pod: &&Value| uids.iter().any(|uid| pod["metadata"]["uid"] == **uid);
        let remaining = pods.iter().filter(is_old).count();
        ensure!(remaining == 0, "{remaining} old pods still exist");
        Ok(())
    };
    eventually(format!("the old pods of {component} are gone"), REPLACE_TIMEOUT, check).await
}

/// Starts traffic and waits for the first [`ORDERS`] orders.
pub(crate) async fn start_traffic(install: &Install) -> Result<Traffic> {
    let mut traffic = Traffic::start(&install.http, &install.orders.url()?, PERIOD);
    traffic.wait_for_orders(ORDERS, ORDERS_TIMEOUT, "before").await?;
    Ok(traffic)
}

/// Waits for [`ORDERS`] more orders, stops the traffic and waits until the trace of every order is complete.
pub(crate) async fn finish_traffic(install: &Install, mut traffic: Traffic) -> Result<()> {
    traffic.wait_for_orders(ORDERS, ORDERS_TIMEOUT, "after").await?;
    let served = traffic.stop().await?;
    progress(format!("checking the traces of {} served orders", served.count()));
    served.wait_for_complete_traces(&install.jaeger, DEFAULT_TIMEOUT).await
}
