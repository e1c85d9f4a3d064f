//! Ten thousand orders at a steady rate, and what the whole installation holds in memory thereafter. The rate is part of
//! the figure: Badger and the gateways hold what is under way, and a faster machine has more of it under way.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use sightline_tests::poll::eventually;
use sightline_tests::traffic::{ServedOrders, Traffic};

use crate::install::Install;
use crate::{memory, progress};

const ORDERS: usize = 10_000;

/// Series of orders side by side, and the time between two orders of one: 100 a second, 1,200 spans. A machine too slow
/// for it takes longer.
const SERIES: usize = 8;
const PACE: Duration = Duration::from_millis(80);

/// For all orders, on a slow machine.
const WITHIN: Duration = Duration::from_mins(10);

/// How long the pipeline may be behind at the end. It writes to disk what services only send.
const CATCH_UP: Duration = Duration::from_mins(3);

/// MiB of the whole installation: what the stack is meant to do with.
const AIM: f64 = 700.0;

pub(crate) async fn orders(install: &Install) -> Result<()> {
    let (http, url) = (reqwest::Client::builder().no_proxy().build()?, install.orders.url()?);
    progress(format!("{ORDERS} orders, at most a hundred a second"));
    let began = Instant::now();
    let series = (0..SERIES).map(async |_| {
        let mut series = Traffic::start(&http, &url, PACE);
        series.wait_for_orders(ORDERS / SERIES, WITHIN, "all of them").await?;
        series.stop().await
    });
    let served = try_join_all(series).await?;
    let (count, took) = (served.iter().map(ServedOrders::count).sum::<usize>(), began.elapsed().as_secs_f64());
    // The pipeline may be behind the services. When a new order passes, nothing waits in a queue before it.
    eventually("an order passes", CATCH_UP, async || install.request_order().await).await?;
    let held = memory::held(&install.cluster, install.namespace).await?;
    install.figure(format!(
        "{count} orders in {took:.0} s, at most a hundred a second; memory thereafter, MiB:\n{}",
        memory::table(&held)
    ));
    let resident: f64 = held.iter().map(|pod| pod.resident).sum();
    ensure!(resident < AIM, "the installation holds {resident:.0} MiB, and is to hold less than {AIM}");
    Ok(())
}
