//! A part of the pipeline goes and comes back under traffic: nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::TraceId;
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, ORDER};
use sightline_tests::suite::Suite;
use tokio::task::JoinHandle;

pub(crate) fn add(suite: &mut Suite) {
    suite.alone("outage::what_a_stopped_part_misses_is_delivered_when_it_is_back", outage);
}

/// Orders that have to pass in each phase before the next begins.
const ORDERS: usize = 40;

/// Between two orders: a service's queue of 2048 spans has to last for as long as the agent is away.
const PACE: Duration = Duration::from_millis(25);

async fn outage() -> Result<()> {
    let mut lab = Lab::start(|config| config).await?;
    let traffic = Traffic::start(&lab)?;
    traffic.passes(&lab, ORDERS).await?;
    for part in [Process::Agent, Process::Gateway] {
        let exit = lab.stack_mut().stop_process(part).await?;
        ensure!(exit.is_clean(), "{part}: {}", exit.describe());
        traffic.passes(&lab, ORDERS).await?;
        lab.stack_mut().start_process(part)?;
        lab.stack().ready(|_| {}).await?;
        traffic.passes(&lab, ORDERS).await?;
    }

    // The agent is killed, as by a node out of memory, with the only copy of some spans in its queue on disk.
    lab.stack_mut().stop_process(Process::Gateway).await?;
    traffic.passes(&lab, ORDERS).await?;
    let queued = async || {
        let metrics = lab.metrics(lab.stack().ports().agent_metrics).await?;
        let waiting = metrics.sum("otelcol_exporter_queue_size", &[("data_type", "traces")]);
        ensure!(waiting.is_some_and(|bytes| bytes > 0.0), "{waiting:?} is in its queue");
        Ok(())
    };
    lab.eventually("the agent keeps what it cannot send", queued).await?;
    lab.stack_mut().kill_process(Process::Agent).await?;
    lab.stack_mut().start_process(Process::Agent)?;
    lab.stack_mut().start_process(Process::Gateway)?;
    lab.stack().ready(|_| {}).await?;
    traffic.passes(&lab, ORDERS).await?;

    let sent = traffic.stop().await?;
    let look = async || {
        let mut missing = Vec::new();
        for id in &sent {
            let stored = lab.jaeger().trace(id).await?.map_or(0, |trace| trace.spans.len());
            let expected = ORDER.lines().count();
            if stored != expected {
                missing.push(format!("{id}: {stored} of {expected} spans"));
            }
        }
        ensure!(missing.is_empty(), "{} of {} traces are not whole: {missing:?}", missing.len(), sent.len());
        Ok(())
    };
    lab.eventually("every order's trace is whole", look).await?;
    // And the services, which count what they deliver, agree.
    lab.stop().await
}

/// Orders, one after the other, until it is stopped.
struct Traffic {
    stop: Arc<AtomicBool>,
    passed: Arc<AtomicUsize>,
    task: JoinHandle<Result<Vec<TraceId>>>,
}

impl Traffic {
    fn start(lab: &Lab) -> Result<Self> {
        let (http, orders) = (lab.http().clone(), lab.orders()?);
        let (stop, passed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&passed));
        let task = tokio::spawn(async move {
            let mut pace = tokio::time::interval(PACE);
            let mut sent = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                pace.tick().await;
                let (caller, path) = (Caller::new(), format!("orders/{}", 1 + sent.len() % 100));
                let answer = tokio::time::timeout(Duration::from_secs(5), caller.get(&http, &orders, &path));
                // Services do not wait for their telemetry.
                let answer = answer.await.context("an order took five seconds")??;
                ensure!(answer.status == 200, "{answer:?}");
                sent.push(answer.trace);
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(sent)
        });
        Ok(Self { stop, passed, task })
    }

    /// Waits until so many more orders are served.
    async fn passes(&self, lab: &Lab, orders: usize) -> Result<()> {
        let before = self.passed.load(Ordering::Relaxed);
        let look = async || {
            let passed = self.passed.load(Ordering::Relaxed) - before;
            ensure!(passed >= orders, "{passed} so far");
            Ok(())
        };
        lab.eventually(format!("{orders} orders are served"), look).await
    }

    async fn stop(self) -> Result<Vec<TraceId>> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?
    }
}
