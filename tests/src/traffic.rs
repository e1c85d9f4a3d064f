//! Requests orders at a steady rate while a test changes the system, and checks that the trace of each order is
//! complete.

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
use crate::examples::ORDER;
use crate::outline::outline;
use crate::poll::eventually;

/// The timeout for the request of an order. The request normally takes milliseconds, and the deadlines in the services
/// limit it to five seconds.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum number of failures that an error message lists. Other failures are only counted.
const LISTED_FAILURES: usize = 8;

/// A task that requests one order after another until [`Traffic`] is stopped or dropped.
#[derive(Debug)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    requested: Arc<AtomicUsize>,
    /// The name of each phase, and the number of orders that were requested before the phase.
    phases: Vec<(String, usize)>,
    task: JoinHandle<Vec<Order>>,
}

#[derive(Debug)]
struct Order {
    trace: TraceId,
    failure: Option<String>,
}

/// The trace of each served order, and the phase in which the order was requested.
#[derive(Debug)]
pub struct ServedOrders(Vec<(TraceId, String)>);

impl Traffic {
    /// Starts a task that requests an order every `period`. Each order has its own trace.
    #[must_use]
    pub fn start(http: &reqwest::Client, orders_url: &Url, period: Duration) -> Self {
        let (http, orders_url) = (http.clone(), orders_url.clone());
        let stop = Arc::<AtomicBool>::default();
        let (served, requested) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (task_stop, task_served, task_requested) =
            (Arc::clone(&stop), Arc::clone(&served), Arc::clone(&requested));
        let task = tokio::spawn(async move {
            let mut ticks = interval(period);
            // After a slow response, the task continues at the same rate. It does not later request the orders that it
            // missed during the slow response.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut orders = Vec::new();
            while !task_stop.load(Ordering::Relaxed) {
                ticks.tick().await;
                task_requested.fetch_add(1, Ordering::Relaxed);
                let caller = Caller::new();
                let Ok(trace) = caller.trace_id().parse() else { continue };
                let path = format!("orders/{}", 1 + orders.len() % 100);
                let response = caller.get(&http, &orders_url, &path);
                let failure = match tokio::time::timeout(ORDER_TIMEOUT, response).await {
                    Ok(Ok(response)) if response.status == 200 => None,
                    Ok(Ok(response)) => Some(format!("status {}: {}", response.status, response.body)),
                    Ok(Err(error)) => Some(format!("{error:#}")),
                    Err(_) => Some(format!("no response after {} s", ORDER_TIMEOUT.as_secs())),
                };
                if failure.is_none() {
                    task_served.fetch_add(1, Ordering::Relaxed);
                }
                orders.push(Order { trace, failure });
            }
            orders
        });
        Self { stop, served, requested, phases: Vec::new(), task }
    }

    /// Starts a new phase of the test, such as a rollout. Error messages contain the phase of each failed order.
    pub fn begin_phase(&mut self, phase: impl Into<String>) {
        self.phases.push((phase.into(), self.requested.load(Ordering::Relaxed)));
    }

    /// Starts a new phase and waits until `count` orders have been served in this phase. Fails after `timeout`.
    pub async fn wait_for_orders(
        &mut self,
        count: usize,
        timeout: Duration,
        phase: impl Into<String>,
    ) -> Result<()> {
        self.begin_phase(phase);
        let before = self.served.load(Ordering::Relaxed);
        let check = async || {
            let served = self.served.load(Ordering::Relaxed) - before;
            ensure!(served >= count, "{served} orders so far");
            Ok(())
        };
        eventually(format!("{count} orders are served"), timeout, check).await
    }

    /// Stops the task. Fails if an order was not served, and reports the phase of each failed order.
    pub async fn stop(mut self) -> Result<ServedOrders> {
        self.stop.store(true, Ordering::Relaxed);
        let orders = (&mut self.task).await.context("the traffic task failed")?;
        let phase = |order: usize| {
            let phase = self.phases.iter().rev().find(|(_, before)| *before <= order);
            phase.map(|(phase, _)| phase.clone()).unwrap_or_default()
        };
        let (mut served, mut failures) = (Vec::new(), Vec::new());
        for (number, order) in orders.into_iter().enumerate() {
            match order.failure {
                None => served.push((order.trace, phase(number))),
                Some(failure) => failures.push(format!("{} ({}): {failure}", order.trace, phase(number))),
            }
        }
        let total = served.len() + failures.len();
        ensure!(
            failures.is_empty(),
            "{} of {total} orders failed:\n{}",
            failures.len(),
            summarize(&failures)
        );
        Ok(ServedOrders(served))
    }
}

/// Stops the task, so the traffic of a failed test does not continue during the next test.
impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl ServedOrders {
    /// The number of orders.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Waits until the trace of every order is stored with the shape [`ORDER`]. Fails after `timeout`, and reports the
    /// incomplete traces and their phases.
    pub async fn wait_for_complete_traces(&self, jaeger: &Jaeger, timeout: Duration) -> Result<()> {
        let total = self.0.len();
        let mut incomplete: Vec<_> = self.0.iter().collect();
        let check = async || {
            let mut still_incomplete = Vec::new();
            let mut failures = Vec::new();
            for order in std::mem::take(&mut incomplete) {
                let (id, phase) = order;
                match jaeger.trace(id).await {
                    Ok(Some(trace)) if outline(&trace) == ORDER => continue,
                    Ok(Some(trace)) => failures.push(format!(
                        "{id} ({phase}): {} of {} spans:\n{}",
                        trace.spans.len(),
                        ORDER.lines().count(),
                        outline(&trace)
                    )),
                    Ok(None) => failures.push(format!("{id} ({phase}): no span is stored")),
                    Err(error) => failures.push(format!("{id} ({phase}): {:#}", anyhow::Error::new(error))),
                }
                still_incomplete.push(order);
            }
            incomplete = still_incomplete;
            ensure!(
                incomplete.is_empty(),
                "{} of {total} traces are incomplete:\n{}",
                failures.len(),
                summarize(&failures)
            );
            Ok(())
        };
        eventually("the trace of every order is complete", timeout, check).await
    }
}

/// Joins the first failures with line breaks, and counts the others.
fn summarize(failures: &[String]) -> String {
    let more = failures.len().saturating_sub(LISTED_FAILURES);
    let mut text = failures[..failures.len() - more].join("\n");
    if more > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n… and {more} more");
    }
    text
}
