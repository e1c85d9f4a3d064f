//! Many orders at the rate this machine sustains: every span is stored, and what that costs.
//!
//! `SIGHTLINE_VOLUME_REQUESTS` says how many; 2000 otherwise. By itself, as it uses all there is.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::TraceId;
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, ORDER};
use sightline_tests::memory::resident_mib;
use sightline_tests::poll::eventually;
use sightline_tests::suite::Suite;

/// Requests at a time: enough to keep two processors busy.
const AT_A_TIME: usize = 8;

/// How long the pipeline may be behind at the end. It writes to disk what services only send.
const CATCH_UP: Duration = Duration::from_mins(5);

/// After so many requests memory is looked at for the first time.
const WARM: usize = 1_000;

fn main() -> Result<ExitCode> {
    let mut suite = Suite::new()?;
    suite.alone("volume::nothing_is_lost_at_the_rate_the_machine_sustains", volume);
    Ok(suite.run())
}

async fn volume() -> Result<()> {
    let requests = match std::env::var("SIGHTLINE_VOLUME_REQUESTS") {
        Ok(text) => {
            text.parse().with_context(|| format!("SIGHTLINE_VOLUME_REQUESTS={text:?} is no number"))?
        }
        Err(_) => 2_000,
    };
    let lab = Arc::new(Lab::start(|config| config).await?);
    let mut report = Report::default();

    let begun = Instant::now();
    let mut sent = orders(&lab, requests.min(WARM)).await?;
    report.memory("after the first requests", &lab)?;
    sent.extend(orders(&lab, requests - sent.len()).await?);
    let took = begun.elapsed();
    report.memory("after all requests", &lab)?;

    let each = ORDER.lines().count();
    let mut missing = sent;
    let look = async || {
        // Those found whole are not asked for again: reading takes from Jaeger what it needs for writing.
        while let Some(id) = missing.last() {
            let stored = lab.jaeger().trace(id).await?.map_or(0, |trace| trace.spans.len());
            let whole = requests - missing.len();
            ensure!(stored == each, "{whole} traces are whole, the next has {stored} of {each} spans");
            missing.pop();
        }
        Ok(())
    };
    // The pipeline may be behind the services; it must not lose anything for that.
    let stored = eventually("every span is stored", CATCH_UP, look).await;
    report.memory("when all is stored", &lab)?;
    report.print(requests, took, requests * each, begun.elapsed());

    let lab = Arc::try_unwrap(lab).ok().context("a request still runs")?;
    // The services count what they deliver, and say at their end what they could not.
    match (stored, lab.stop().await) {
        (Ok(()), stopped) => stopped,
        (Err(missing), Ok(())) => {
            Err(missing.context("the pipeline lost something, and the services nothing"))
        }
        (Err(missing), Err(lost)) => Err(missing.context(format!("{lost:#}"))),
    }
}

/// Asks for so many orders, several at a time, and gives back their traces.
async fn orders(lab: &Arc<Lab>, requests: usize) -> Result<Vec<TraceId>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (lab, next) = (Arc::clone(lab), Arc::clone(&next));
        workers.spawn(async move {
            let mut sent = Vec::new();
            loop {
                let request = next.fetch_add(1, Ordering::Relaxed);
                if request >= requests {
                    return anyhow::Ok(sent);
                }
                let answer = lab.order(&Caller::new(), &(1 + request % 100).to_string()).await?;
                ensure!(answer.status == 200, "{answer:?}");
                sent.push(answer.trace);
            }
        });
    }
    let mut sent = Vec::new();
    while let Some(worker) = workers.join_next().await {
        sent.extend(worker??);
    }
    Ok(sent)
}

/// What is told at the end.
#[derive(Default)]
struct Report {
    memory: Vec<(&'static str, Vec<f64>)>,
}

impl Report {
    fn memory(&mut self, when: &'static str, lab: &Lab) -> Result<()> {
        let resident = |process| resident_mib(lab.stack().pid(process).context("it does not run")?);
        self.memory.push((when, Process::ALL.into_iter().map(resident).collect::<Result<_>>()?));
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the figures are the point of the run")]
    #[expect(clippy::cast_precision_loss, reason = "requests are far fewer than 2^52")]
    fn print(&self, requests: usize, took: Duration, spans: usize, stored: Duration) {
        let rate = requests as f64 / took.as_secs_f64();
        println!(
            "\n{requests} orders in {:.1} s, {AT_A_TIME} at a time: {rate:.0} requests/s",
            took.as_secs_f64()
        );
        println!(
            "{spans} spans, the last one looked for {:.1} s after the first request",
            stored.as_secs_f64()
        );
        // Writing to a String cannot fail.
        let mut table = format!("\n{:<20}", "resident MiB");
        for (when, _) in &self.memory {
            let _ = write!(table, "{when:>26}");
        }
        for (index, process) in Process::ALL.into_iter().enumerate() {
            let _ = write!(table, "\n{process:<20}");
            for (_, resident) in &self.memory {
                let _ = write!(table, "{:>26.1}", resident[index]);
            }
        }
        println!("{table}");
    }
}
