//! Ten thousand orders at a steady rate, and what the whole installation holds in memory thereafter. The rate is part of
//! the figure: Badger and the gateways hold what is under way, and a faster machine has more of it under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sightline_tests::caller::Caller;
use sightline_tests::poll::eventually;
use tokio::time::{MissedTickBehavior, interval};

use crate::install::Install;
use crate::{memory, progress};

const ORDERS: usize = 10_000;

/// Orders a second, over all workers: 1,200 spans a second. A machine too slow for it takes longer.
const RATE: u64 = 100;

/// Requests at a time.
const AT_A_TIME: u64 = 8;

/// How long the pipeline may be behind at the end. It writes to disk what services only send.
const CATCH_UP: Duration = Duration::from_mins(3);

/// MiB of the whole installation: what the stack is meant to do with.
const AIM: f64 = 700.0;

pub(crate) async fn orders(install: &Install) -> Result<()> {
    let (http, url) = (reqwest::Client::builder().no_proxy().build()?, install.orders.url()?);
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (http, url, next) = (http.clone(), url.clone(), Arc::clone(&next));
        workers.spawn(async move {
            let mut pace = interval(Duration::from_millis(1_000 * AT_A_TIME / RATE));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                pace.tick().await;
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= ORDERS {
                    return anyhow::Ok(());
                }
                let answer = Caller::new().get(&http, &url, &format!("orders/{}", 1 + number % 100)).await?;
                ensure!(answer.status == 200, "{answer:?}");
                if number % 2_500 == 0 {
                    progress(format!("{number} orders"));
                }
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    let took = began.elapsed().as_secs_f64();
    // The pipeline may be behind the services. When a new order passes, nothing waits in a queue before it.
    eventually("an order passes", CATCH_UP, async || install.order().await).await?;
    let held = memory::held(&install.cluster, install.namespace).await?;
    install.figure(format!(
        "{ORDERS} orders in {took:.0} s, at most {RATE} a second; memory thereafter, MiB:\n{}",
        memory::table(&held)
    ));
    let resident: f64 = held.iter().map(|pod| pod.resident).sum();
    ensure!(resident < AIM, "the installation holds {resident:.0} MiB, and is to hold less than {AIM}");
    Ok(())
}
