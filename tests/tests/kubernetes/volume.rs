//! The memory use of the installation after ten thousand orders at a limited rate. The gateways and Jaeger's Badger
//! storage keep recent data in memory. Without the limit, a faster machine would send more data in the same time, and
//! more memory would be used.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use sightline_tests::poll::eventually;
use sightline_tests::traffic::{ServedOrders, Traffic};

use crate::install::Install;
use crate::{memory, progress};

const ORDERS: usize = 10_000;

/// The number of concurrent series of orders.
const SERIES: usize = 8;

/// The time between two orders of a series. All series together send at most 100 orders (1,200 spans) per second. A
/// slow machine serves fewer orders and takes longer.
const PERIOD: Duration = Duration::from_millis(80);

/// The timeout for all orders, on a slow machine.
const ORDERS_TIMEOUT: Duration = Duration::from_mins(10);

/// The maximum time from the last order until the pipeline has no backlog. The pipeline is slower than the services,
/// because the pipeline writes to disk.
const BACKLOG_TIMEOUT: Duration = Duration::from_mins(3);

/// The limit for the resident memory of all pods together, in MiB.
const MEMORY_LIMIT_MIB: f64 = 800.0;

pub(crate) async fn memory_limit(install: &Install) -> Result<()> {
    let (http, url) = (reqwest::Client::builder().no_proxy().build()?, install.orders.url()?);
    progress(format!("requesting {ORDERS} orders, at most 100 per second"));
    let started = Instant::now();
    let series = (0..SERIES).map(async |_| {
        let mut series = Traffic::start(&http, &url, PERIOD);
        series.wait_for_orders(ORDERS / SERIES, ORDERS_TIMEOUT, "all orders").await?;
        series.stop().await
    });
    let served = try_join_all(series).await?;
    let (count, took) =
        (served.iter().map(ServedOrders::count).sum::<usize>(), started.elapsed().as_secs_f64());
    // When the trace of a new order is stored, no older spans are in a queue.
    eventually("the trace of a new order is stored", BACKLOG_TIMEOUT, async || install.request_order().await)
        .await?;
    let memory = memory::measure(&install.cluster, install.namespace).await?;
    install.add_measurement(format!(
        "{count} orders in {took:.0} s, at most 100 per second; memory after them, MiB:\n{}",
        memory::table(&memory)
    ));
    let resident: f64 = memory.iter().map(|container| container.resident).sum();
    ensure!(
        resident < MEMORY_LIMIT_MIB,
        "the installation uses {resident:.0} MiB, the limit is {MEMORY_LIMIT_MIB} MiB"
    );
    Ok(())
}
