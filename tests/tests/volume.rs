//! A load test: requests orders as fast as this machine serves them, checks that every span and log record is stored and
//! every order counted, and prints the request rate and the memory use.
//!
//! `SIGHTLINE_VOLUME_REQUESTS` sets the number of orders; the default is 2000. The test is a separate program because
//! it uses all processors and would slow down other tests.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::TraceId;
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::memory::resident_mib;
use sightline_tests::poll::eventually;
use sightline_tests::stores::ORDER_REQUESTS;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, SERVICES, TestStack};

/// The number of concurrent requests, which is enough to keep two processors busy.
const CONCURRENT_REQUESTS: usize = 8;

/// The maximum time from the last request until all spans are stored. The pipeline is slower than the services, because
/// the pipeline writes to disk.
const STORE_TIMEOUT: Duration = Duration::from_mins(5);

/// The number of requests before the first memory measurement.
const WARM_UP_REQUESTS: usize = 1_000;

fn main() -> Result<ExitCode> {
    let mut suite = Suite::new()?;
    suite.add_standalone("volume::loses_no_spans_at_full_load", loses_no_spans);
    Ok(suite.run())
}

async fn loses_no_spans() -> Result<()> {
    let requests = match std::env::var("SIGHTLINE_VOLUME_REQUESTS") {
        Ok(text) => {
            text.parse().with_context(|| format!("SIGHTLINE_VOLUME_REQUESTS={text:?} is not a number"))?
        }
        Err(_) => 2_000,
    };
    let stack = Arc::new(TestStack::start(|config| config).await?);
    let mut report = Report::default();

    let started = Instant::now();
    let mut sent = request_orders(&stack, requests.min(WARM_UP_REQUESTS)).await?;
    report.memory("after the first requests", &stack)?;
    sent.extend(request_orders(&stack, requests - sent.len()).await?);
    let took = started.elapsed();
    report.memory("after all requests", &stack)?;

    let spans_per_order = ORDER.lines().count();
    let mut missing = sent;
    let check = async || {
        // Jaeger is not queried again for traces that are known to be complete, because queries slow down Jaeger's
        // writes.
        while let Some(id) = missing.last() {
            let stored = stack.jaeger().trace(id).await?.map_or(0, |trace| trace.spans.len());
            let complete = requests - missing.len();
            ensure!(
                stored == spans_per_order,
                "{complete} traces are complete; the next trace has {stored} of {spans_per_order} spans"
            );
            missing.pop();
        }
        Ok(())
    };
    let mut stored = eventually("every span is stored", STORE_TIMEOUT, check).await;
    report.memory("after all spans are stored", &stack)?;
    report.print(requests, took, requests * spans_per_order, started.elapsed());

    if stored.is_ok() {
        let condition = "every log record is stored, and every order is counted";
        stored = eventually(condition, STORE_TIMEOUT, async || check_stores(&stack, requests).await).await;
    }

    let stack = Arc::try_unwrap(stack).ok().context("a request is still running")?;
    // The services count the spans that they deliver, and exit with an error if they lost any spans.
    match (stored, stack.stop().await) {
        (Ok(()), stopped) => stopped,
        (Err(missing), Ok(())) => Err(missing.context("the pipeline lost spans, but the services lost none")),
        (Err(missing), Err(lost)) => Err(missing.context(format!("{lost:#}"))),
    }
}

/// Fails if the stores do not have the three log records of each order, and the number of the orders, each once.
async fn check_stores(stack: &TestStack, orders: usize) -> Result<()> {
    let records = stack.find_logs("trace_id:* | stats count() records").await?;
    let records = records.first().and_then(|row| row["records"].as_str()).unwrap_or_default();
    ensure!(records == (orders * SERVICES.len()).to_string(), "{records} log records of {orders} orders");
    let counted = stack.stored_metric(&format!("sum({ORDER_REQUESTS})")).await?;
    ensure!(counted == Some(f64::from(u32::try_from(orders)?)), "{counted:?} of {orders} orders are counted");
    Ok(())
}

/// Requests this number of orders, [`CONCURRENT_REQUESTS`] at a time, and returns their traces.
async fn request_orders(stack: &Arc<TestStack>, requests: usize) -> Result<Vec<TraceId>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..CONCURRENT_REQUESTS {
        let (stack, next) = (Arc::clone(stack), Arc::clone(&next));
        workers.spawn(async move {
            let mut sent = Vec::new();
            loop {
                let request = next.fetch_add(1, Ordering::Relaxed);
                if request >= requests {
                    return anyhow::Ok(sent);
                }
                let response = stack.get_order(&Caller::new(), &(1 + request % 100).to_string()).await?;
                ensure!(response.status == 200, "{response:?}");
                sent.push(response.trace);
            }
        });
    }
    let mut sent = Vec::new();
    while let Some(worker) = workers.join_next().await {
        sent.extend(worker??);
    }
    Ok(sent)
}

/// The measurements that are printed at the end.
#[derive(Default)]
struct Report {
    processes: Vec<Process>,
    memory: Vec<(&'static str, Vec<f64>)>,
}

impl Report {
    /// Records the memory use of each process.
    fn memory(&mut self, when: &'static str, stack: &TestStack) -> Result<()> {
        let resident = |process: &Process| {
            let pid = stack.inner().pid(process).with_context(|| format!("{process} is not running"))?;
            resident_mib(pid)
        };
        self.processes.clone_from(&stack.inner().config().processes);
        self.memory.push((when, self.processes.iter().map(resident).collect::<Result<_>>()?));
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the measurements are a result of the test")]
    #[expect(clippy::cast_precision_loss, reason = "the number of requests is far below 2^52")]
    fn print(&self, requests: usize, took: Duration, spans: usize, stored: Duration) {
        let rate = requests as f64 / took.as_secs_f64();
        println!(
            "\n{requests} orders in {:.1} s, {CONCURRENT_REQUESTS} at a time: {rate:.0} requests/s",
            took.as_secs_f64()
        );
        println!("{spans} spans, all checked {:.1} s after the first request", stored.as_secs_f64());
        // Writing to a String cannot fail.
        let mut table = format!("\n{:<20}", "resident MiB");
        for (when, _) in &self.memory {
            let _ = write!(table, "{when:>28}");
        }
        for (index, process) in self.processes.iter().enumerate() {
            let _ = write!(table, "\n{process:<20}");
            for (_, resident) in &self.memory {
                let _ = write!(table, "{:>28.1}", resident[index]);
            }
        }
        println!("{table}");
    }
}
