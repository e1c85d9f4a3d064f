//! Requests at a steady rate, which does not depend on the responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sightline::jaeger::TraceId;
use sightline_tests::caller::Caller;
use sightline_tests::test_stack::TestStack;
use tokio::task::{JoinHandle, JoinSet};

/// The time between two requests: 100 orders a second, which make 1200 spans a second.
const PERIOD: Duration = Duration::from_millis(10);

/// After this time, a request counts as failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One request for an order.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    pub(crate) trace: TraceId,
    pub(crate) served: bool,
}

/// A task that requests orders until [`Load::stop`].
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<Vec<Request>>>,
}

impl Load {
    pub(crate) fn start(stack: &TestStack) -> Result<Self> {
        let (http, orders) = (stack.http().clone(), stack.orders_url()?);
        let stop = Arc::<AtomicBool>::default();
        let task_stop = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PERIOD);
            let mut requests = JoinSet::new();
            let mut number = 0_usize;
            while !task_stop.load(Ordering::Relaxed) {
                ticks.tick().await;
                number += 1;
                let (http, orders) = (http.clone(), orders.clone());
                requests.spawn(async move {
                    let (caller, path) = (Caller::new(), format!("orders/{}", 1 + number % 100));
                    let trace = caller.trace_id().parse().context("the caller's trace ID is not valid")?;
                    let began = Instant::now();
                    let response = tokio::time::timeout(TIMEOUT, caller.get(&http, &orders, &path)).await;
                    let served = matches!(response, Ok(Ok(response)) if response.status == 200);
                    anyhow::Ok(Request { began, took: began.elapsed(), trace, served })
                });
            }
            requests.join_all().await.into_iter().collect()
        });
        Ok(Self { stop, task })
    }

    /// Stops the task and returns all its requests, in the order in which they began.
    pub(crate) async fn stop(self) -> Result<Vec<Request>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut requests = self.task.await.context("the load failed")??;
        requests.sort_unstable_by_key(|request| request.began);
        Ok(requests)
    }
}

/// Returns the 99th percentile of the durations of the requests that began in this time.
pub(crate) fn p99(requests: &[Request], from: Instant, to: Instant) -> Option<Duration> {
    let within = requests.iter().filter(|request| (from..to).contains(&request.began));
    let mut durations: Vec<_> = within.map(|request| request.took).collect();
    durations.sort_unstable();
    durations.get((durations.len() * 99 / 100).min(durations.len().checked_sub(1)?)).copied()
}
