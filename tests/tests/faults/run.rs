//! Runs one row.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::TraceId;
use sightline_tests::log_records::lost_spans;
use sightline_tests::signal::{self, Signal};
use sightline_tests::test_stack::{ORDER, SERVICES, TestStack};

use crate::load::{Load, Request, p99};
use crate::rows::{Fault, Row};
use crate::stored::Stored;

/// The time of the load before the fault, in which the latency without the fault is measured.
const BEFORE: Duration = Duration::from_secs(5);

/// The time of the load after the fault.
const AFTER: Duration = Duration::from_secs(1);

/// What one run of a row has shown.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) requests: usize,
    pub(crate) failed: usize,
    /// The duration of the load.
    pub(crate) load: Duration,
    /// The 99th percentile before the fault and during it.
    pub(crate) p99: (Option<Duration>, Option<Duration>),
    pub(crate) made: u64,
    pub(crate) stored: u64,
    pub(crate) twice: u64,
    /// The spans that services counted as lost.
    pub(crate) lost: u64,
    /// The time from the end of the fault until the last span was stored.
    pub(crate) recovered: Duration,
}

impl Measured {
    /// The spans that are neither stored nor counted as lost. Less than zero if a process counted a stored span as lost.
    pub(crate) fn unaccounted(&self) -> i64 {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        signed(self.made) - signed(self.stored) - signed(self.lost)
    }
}

pub(crate) async fn run(row: &Row) -> Result<Measured> {
    let mut stack = TestStack::start(|mut config| {
        config.storage = row.storage;
        config.stop_timeout = Duration::from_mins(1);
        config
    })
    .await?;
    stack.wait_for_pipeline().await?;
    let load = Load::start(&stack)?;
    let began = Instant::now();
    tokio::time::sleep(BEFORE).await;
    let broken = Instant::now();
    inflict(row, &mut stack).await?;
    let mended = Instant::now();
    tokio::time::sleep(AFTER).await;
    let duration = began.elapsed();
    let requests = load.stop().await?;
    let counted = counted(row, &requests, broken, mended);
    let stored = Stored::read(&stack, &counted).await?;
    let lost = stop(stack).await?;
    Ok(Measured {
        requests: requests.len(),
        failed: requests.iter().filter(|request| !request.served).count(),
        load: duration,
        p99: (p99(&requests, began, broken), p99(&requests, broken, mended)),
        made: u64::try_from(counted.len() * ORDER.lines().count())?,
        stored: stored.spans,
        twice: stored.twice,
        lost,
        recovered: stored.last.saturating_duration_since(mended),
    })
}

/// Returns the traces whose number of spans is known: those of the served requests. If a service is the broken part, a
/// request that began shortly before or during the fault may have been served in part.
fn counted(row: &Row, requests: &[Request], broken: Instant, mended: Instant) -> Vec<TraceId> {
    let served = requests.iter().filter(|request| request.served);
    let touched = |request: &&Request| {
        row.stops_requests() && request.began < mended && request.began + request.took > broken
    };
    served.filter(|request| !touched(request)).map(|request| request.trace.clone()).collect()
}

/// Breaks the process and mends it.
async fn inflict(row: &Row, stack: &mut TestStack) -> Result<()> {
    let process = row.process;
    match row.fault {
        Fault::None => tokio::time::sleep(row.lasts).await,
        Fault::Killed => {
            stack.inner_mut().kill_process(process).await?;
            tokio::time::sleep(row.lasts).await;
            stack.start_processes(&[process]).await?;
        }
        Fault::Stopped => {
            let exit = stack.inner_mut().stop_process(process).await?;
            ensure!(!exit.killed, "{process} did not stop within {:?}", exit.took);
            tokio::time::sleep(row.lasts).await;
            stack.start_processes(&[process]).await?;
        }
        Fault::Hung => {
            let pid = stack.inner().pid(process).with_context(|| format!("{process} is not running"))?;
            signal::send(pid, Signal::STOP)?;
            tokio::time::sleep(row.lasts).await;
            signal::send(pid, Signal::CONT)?;
        }
    }
    Ok(())
}

/// Stops the stack, and returns the number of spans that the services reported as lost.
async fn stop(mut stack: TestStack) -> Result<u64> {
    let exits = stack.inner_mut().stop().await;
    let killed: Vec<_> = exits.iter().filter(|exit| exit.killed).map(|exit| &exit.process).collect();
    ensure!(killed.is_empty(), "{killed:?} did not stop in time");
    let mut lost = 0;
    for service in SERVICES {
        let log = std::fs::read_to_string(stack.inner().log_path(service))?;
        lost += lost_spans(&log)?.iter().map(|(lost, _)| u64::from(*lost)).sum::<u64>();
    }
    Ok(lost)
}
