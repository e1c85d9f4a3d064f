//! Parts are replaced under load, as by a new version or a drained node: no request fails and no span is lost.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sightline_tests::poll::eventually;
use sightline_tests::traffic::Traffic;

use crate::install::{Install, RELEASE, DEFAULT_TIMEOUT, text};
use crate::progress;

/// Between two orders: what services send is a small part of what they can, and their queues last for half a minute.
pub(crate) const PACE: Duration = Duration::from_millis(50);

/// Orders before a change and after it.
pub(crate) const ORDERS: usize = 60;

/// For that many orders, on a busy machine.
pub(crate) const WITHIN: Duration = Duration::from_mins(1);

/// A pod's end takes its grace period at most, and its successor some seconds.
const REPLACED: Duration = Duration::from_secs(90);

pub(crate) async fn user_service(install: &Install) -> Result<()> {
    rolled_out(install, "user-service").await
}

/// Which order-service asks over one connection that lasts.
pub(crate) async fn inventory_service(install: &Install) -> Result<()> {
    rolled_out(install, "inventory-service").await
}

async fn rolled_out(install: &Install, service: &str) -> Result<()> {
    let workload = format!("deployment/{RELEASE}-{service}");
    let before = names(install, service).await?;
    let mut traffic = begin(install).await?;
    traffic.begin_phase(format!("{service} is rolled out"));
    install.kubectl(["rollout", "restart", &workload]).await?;
    install.rolled_out(&workload).await?;
    gone(install, service, &before).await?;
    end(install, traffic).await
}

pub(crate) async fn gateway(install: &Install) -> Result<()> {
    replaced(install, "gateway", "statefulset/sightline-gateway").await
}

pub(crate) async fn agent(install: &Install) -> Result<()> {
    replaced(install, "agent", "daemonset/sightline-agent").await
}

/// One pod of a part is deleted. It is one that orders pass: the agent beside order-service, any gateway.
async fn replaced(install: &Install, part: &str, workload: &str) -> Result<()> {
    let orders = install.pods("order-service").await?;
    let node = orders.first().map(|pod| text(pod, "/spec/nodeName")).transpose()?.unwrap_or_default();
    let pods = install.pods(part).await?;
    let beside = pods.iter().find(|pod| pod["spec"]["nodeName"] == node).or(pods.first());
    let Some(pod) = beside else { anyhow::bail!("there is no {part}") };
    let name = text(pod, "/metadata/name")?.to_owned();
    let id = text(pod, "/metadata/uid")?.to_owned();
    let mut traffic = begin(install).await?;
    traffic.begin_phase(format!("{name} is deleted"));
    let began = Instant::now();
    install.kubectl(["delete", "pod", &name, "--wait=false"]).await?;
    gone(install, part, &[id]).await?;
    traffic.begin_phase(format!("{name} is gone"));
    install.rolled_out(workload).await?;
    progress(format!("{name} was replaced in {:.1} s", began.elapsed().as_secs_f64()));
    end(install, traffic).await
}

async fn names(install: &Install, part: &str) -> Result<Vec<String>> {
    let pods = install.pods(part).await?;
    pods.iter().map(|pod| Ok(text(pod, "/metadata/uid")?.to_owned())).collect()
}

/// Waits until none of these pods is there any longer.
async fn gone(install: &Install, part: &str, ids: &[String]) -> Result<()> {
    let check = async || {
        let pods = install.list("pods", &crate::install::selector(part)).await?;
        let left = pods.iter().filter(|pod| ids.iter().any(|id| pod["metadata"]["uid"] == **id)).count();
        ensure!(left == 0, "{left} are there");
        Ok(())
    };
    eventually(format!("the old pods of {part} are gone"), REPLACED, check).await
}

pub(crate) async fn begin(install: &Install) -> Result<Traffic> {
    let mut traffic = Traffic::start(&install.http, &install.orders.url()?, PACE);
    traffic.wait_for_orders(ORDERS, WITHIN, "before").await?;
    Ok(traffic)
}

pub(crate) async fn end(install: &Install, mut traffic: Traffic) -> Result<()> {
    traffic.wait_for_orders(ORDERS, WITHIN, "after").await?;
    let served = traffic.stop().await?;
    progress(format!("{} orders were served; are their traces whole?", served.count()));
    served.wait_for_complete_traces(&install.jaeger, DEFAULT_TIMEOUT).await
}
