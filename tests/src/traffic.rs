//! Orders at a steady pace while something happens to the stack, and whether each left its whole trace.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::{Jaeger, TraceId};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use url::Url;

use crate::caller::Caller;
use crate::lab::ORDER;
use crate::outline::outline;
use crate::poll::eventually;

/// An order takes milliseconds, and five seconds at most by its own deadlines.
const PATIENCE: Duration = Duration::from_secs(10);

/// Failures that are told; the rest is a number.
const TOLD: usize = 8;

/// Orders under way, one after the other, until it is stopped or dropped.
#[derive(Debug)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    /// What happens, and how many orders were asked for before it.
    phases: Vec<(String, usize)>,
    task: JoinHandle<Vec<Order>>,
}

#[derive(Debug)]
struct Order {
    trace: TraceId,
    failure: Option<String>,
}

/// Orders that were served: the trace of each, and the phase it fell into.
#[derive(Debug)]
pub struct Served(Vec<(TraceId, String)>);

impl Traffic {
    /// Asks for an order every `pace`, each in a trace of its own.
    #[must_use]
    pub fn start(http: &reqwest::Client, orders: &Url, pace: Duration) -> Self {
        let (http, orders) = (http.clone(), orders.clone());
        let stop = Arc::<AtomicBool>::default();
        let (served, asked) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (stopped, counted, begun) = (Arc::clone(&stop), Arc::clone(&served), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut pace = interval(pace);
            // A slow answer is not made up for by a burst.
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut sent = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                pace.tick().await;
                begun.fetch_add(1, Ordering::Relaxed);
                let caller = Caller::new();
                let Ok(trace) = caller.trace_id().parse() else { continue };
                let path = format!("orders/{}", 1 + sent.len() % 100);
                let answer = tokio::time::timeout(PATIENCE, caller.get(&http, &orders, &path)).await;
                let failure = match answer {
                    Ok(Ok(answer)) if answer.status == 200 => None,
                    Ok(Ok(answer)) => Some(format!("answered {}: {}", answer.status, answer.body)),
                    Ok(Err(error)) => Some(format!("{error:#}")),
                    Err(_) => Some(format!("no answer in {} s", PATIENCE.as_secs())),
                };
                if failure.is_none() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                sent.push(Order { trace, failure });
            }
            sent
        });
        Self { stop, served, asked, phases: Vec::new(), task }
    }

    /// Says what happens from now on, for a failure to tell.
    pub fn enter(&mut self, phase: impl Into<String>) {
        self.phases.push((phase.into(), self.asked.load(Ordering::Relaxed)));
    }

    /// Waits until so many orders are served in this phase. Fails when that takes longer than `within`.
    pub async fn passes(&mut self, orders: usize, within: Duration, phase: impl Into<String>) -> Result<()> {
        self.enter(phase);
        let before = self.served.load(Ordering::Relaxed);
        let look = async || {
            let passed = self.served.load(Ordering::Relaxed) - before;
            ensure!(passed >= orders, "{passed} so far");
            Ok(())
        };
        eventually(format!("{orders} orders are served"), within, look).await
    }

    /// Ends it. Fails if an order was not served, and says in which phase.
    pub async fn stop(mut self) -> Result<Served> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = (&mut self.task).await.context("the orders' task ended early")?;
        let phase = |order: usize| {
            let phase = self.phases.iter().rev().find(|(_, before)| *before <= order);
            phase.map(|(phase, _)| phase.clone()).unwrap_or_default()
        };
        let (mut served, mut failures) = (Vec::new(), Vec::new());
        for (number, order) in sent.into_iter().enumerate() {
            match order.failure {
                None => served.push((order.trace, phase(number))),
                Some(failure) => failures.push(format!("{} ({}): {failure}", order.trace, phase(number))),
            }
        }
        let all = served.len() + failures.len();
        ensure!(failures.is_empty(), "{} of {all} orders failed:\n{}", failures.len(), told(&failures));
        Ok(Served(served))
    }
}

/// A case that fails leaves no orders to the next.
impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Served {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Waits until every trace is stored with the shape of an order. Fails with those that are not, and their phases.
    pub async fn are_whole(&self, jaeger: &Jaeger, within: Duration) -> Result<()> {
        let all = self.0.len();
        let mut missing: Vec<_> = self.0.iter().collect();
        let look = async || {
            let mut still = Vec::new();
            let mut say = Vec::new();
            for order in std::mem::take(&mut missing) {
                let (id, phase) = order;
                match jaeger.trace(id).await {
                    Ok(Some(trace)) if outline(&trace) == ORDER => continue,
                    Ok(Some(trace)) => say.push(format!(
                        "{id} ({phase}): {} of {} spans:\n{}",
                        trace.spans.len(),
                        ORDER.lines().count(),
                        outline(&trace)
                    )),
                    Ok(None) => say.push(format!("{id} ({phase}): nothing")),
                    Err(error) => say.push(format!("{id} ({phase}): {:#}", anyhow::Error::new(error))),
                }
                still.push(order);
            }
            missing = still;
            ensure!(missing.is_empty(), "{} of {all} traces are not whole:\n{}", say.len(), told(&say));
            Ok(())
        };
        eventually("every order's trace is whole", within, look).await
    }
}

fn told(lines: &[String]) -> String {
    let more = lines.len().saturating_sub(TOLD);
    let mut text = lines[..lines.len() - more].join("\n");
    if more > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n… and {more} more");
    }
    text
}
