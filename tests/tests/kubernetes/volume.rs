//! Ten thousand orders at a steady rate, and what the whole installation holds in memory thereafter. The rate is part of
//! the figure: Badger and the gateways hold what is under way, and a faster machine has more of it under way.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sightline_tests::poll::eventually;
use sightline_tests::traffic::Traffic;

use crate::install::Install;
use crate::{memory, progress};

const ORDERS: usize = 10_000;

/// Orders a second, over all series: 1,200 spans a second. A machine too slow for it takes longer.
const RATE: usize = 100;

/// Series of orders side by side.
const SERIES: usize = 8;

/// Parts of the whole, after each of which there is a word of it.
const PARTS: usize = 4;

/// For one part, on a slow machine.
const WITHIN: Duration = Duration::from_mins(4);

/// How long the pipeline may be behind at the end. It writes to disk what services only send.
const CATCH_UP: Duration = Duration::from_mins(3);

/// MiB of the whole installation: what the stack is meant to do with.
const AIM: f64 = 700.0;

pub(crate) async fn orders(install: &Install) -> Result<()> {
    let (http, url) = (reqwest::Client::builder().no_proxy().build()?, install.orders.url()?);
    let pace = Duration::from_secs(1) * u32::try_from(SERIES)? / u32::try_from(RATE)?;
    let began = Instant::now();
    let mut series: Vec<_> = (0..SERIES).map(|_| Traffic::start(&http, &url, pace)).collect();
    for part in 1..=PARTS {
        for each in &mut series {
            each.passes(ORDERS / SERIES / PARTS, WITHIN, format!("part {part}")).await?;
        }
        progress(format!("{} orders", ORDERS / PARTS * part));
    }
    let took = began.elapsed().as_secs_f64();
    let mut count = 0;
    for each in series {
        count += each.stop().await?.count();
    }
    // The pipeline may be behind the services. When a new order passes, nothing waits in a queue before it.
    eventually("an order passes", CATCH_UP, async || install.order().await).await?;
    let held = memory::held(&install.cluster, install.namespace).await?;
    install.figure(format!(
        "{count} orders in {took:.0} s, at most {RATE} a second; memory thereafter, MiB:\n{}",
        memory::table(&held)
    ));
    let resident: f64 = held.iter().map(|pod| pod.resident).sum();
    ensure!(resident < AIM, "the installation holds {resident:.0} MiB, and is to hold less than {AIM}");
    Ok(())
}
