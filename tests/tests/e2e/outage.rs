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
    suite.alone("outage::what_a_stopped_part_misses_is_delivered_when_it_is_back", stopped);
    suite.alone("outage::what_a_killed_agent_had_is_delivered_when_it_is_back", killed);
    suite.alone("outage::an_agent_that_stops_leaves_nothing_on_its_disk", moved);
    suite.alone("outage::agent_and_gateway_come_back_under_traffic", restarted);
}

/// Orders that have to pass in each phase before the next begins.
const ORDERS: usize = 40;

/// Between two orders: a service's queue of 2048 spans has to last for as long as the agent is away.
const PACE: Duration = Duration::from_millis(25);

async fn stopped() -> Result<()> {
    let mut lab = Lab::start(|config| config).await?;
    let mut traffic = Traffic::start(&lab)?;
    traffic.passes(&lab, "before").await?;
    for part in [Process::Agent, Process::Gateway] {
        traffic.enter(format!("{part} stops"));
        lab.stop_process(part).await?;
        traffic.passes(&lab, format!("without {part}")).await?;
        lab.start_processes(&[part]).await?;
        traffic.passes(&lab, format!("{part} is back")).await?;
    }
    traffic.arrives(lab).await
}

/// As by a node out of memory, with the only copy of some spans in the agent's queue on disk.
async fn killed() -> Result<()> {
    let mut lab = Lab::start(|config| config).await?;
    let mut traffic = Traffic::start(&lab)?;
    traffic.passes(&lab, "before").await?;
    traffic.enter("the gateway stops");
    lab.stop_process(Process::Gateway).await?;
    traffic.passes(&lab, "without gateway").await?;
    queued(&lab).await?;
    traffic.enter("the agent is killed");
    lab.stack_mut().kill_process(Process::Agent).await?;
    traffic.enter("the agent was killed");
    lab.start_processes(&[Process::Agent, Process::Gateway]).await?;
    traffic.passes(&lab, "after").await?;
    traffic.arrives(lab).await
}

/// As when a pod is replaced, whose disk goes with it. Its queue is full of what the gateway, just back, has not taken.
async fn moved() -> Result<()> {
    let mut lab = Lab::start(|config| config.with(Process::Agent, "SIGHTLINE_DRAIN_TIMEOUT", "8s")).await?;
    let mut traffic = Traffic::start(&lab)?;
    traffic.passes(&lab, "before").await?;
    traffic.enter("the gateway stops");
    lab.stop_process(Process::Gateway).await?;
    traffic.passes(&lab, "without gateway").await?;
    queued(&lab).await?;
    lab.start_processes(&[Process::Gateway]).await?;
    traffic.enter("the agent stops");
    lab.stop_process(Process::Agent).await?;
    std::fs::remove_dir_all(lab.stack().dir().join("agent/queue"))?;
    traffic.enter("the agent is gone with its disk");
    lab.start_processes(&[Process::Agent]).await?;
    traffic.passes(&lab, "after").await?;
    traffic.arrives(lab).await
}

/// Restarts of each: a part that lets data in before it is ready crashes in some of its starts only.
const RESTARTS: usize = 5;

async fn restarted() -> Result<()> {
    let mut lab = Lab::start(|config| config).await?;
    let mut traffic = Traffic::start(&lab)?;
    traffic.passes(&lab, "before").await?;
    for restart in 1..=RESTARTS {
        for part in [Process::Agent, Process::Gateway] {
            traffic.enter(format!("restart {restart} of {part}"));
            lab.stop_process(part).await?;
            lab.start_processes(&[part]).await?;
        }
        // What services kept meanwhile has left them: their queues last for seconds only.
        lab.settle().await?;
    }
    traffic.arrives(lab).await
}

/// Waits until spans are in the agent's queue.
async fn queued(lab: &Lab) -> Result<()> {
    let look = async || {
        let metrics = lab.metrics(lab.stack().ports().agent_metrics).await?;
        let waiting = metrics.sum("otelcol_exporter_queue_size", &[("data_type", "traces")]);
        ensure!(waiting.is_some_and(|bytes| bytes > 0.0), "{waiting:?} is in its queue");
        Ok(())
    };
    lab.eventually("the agent keeps what it cannot send", look).await
}

/// Orders, one after the other, until it is stopped.
struct Traffic {
    stop: Arc<AtomicBool>,
    passed: Arc<AtomicUsize>,
    /// What happens, and how many orders were served before it.
    phases: Vec<(String, usize)>,
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
        Ok(Self { stop, passed, phases: Vec::new(), task })
    }

    /// Says what happens from now on, for a failure to tell.
    fn enter(&mut self, phase: impl Into<String>) {
        self.phases.push((phase.into(), self.passed.load(Ordering::Relaxed)));
    }

    /// Waits until enough orders are served in this phase.
    async fn passes(&mut self, lab: &Lab, phase: impl Into<String>) -> Result<()> {
        self.enter(phase);
        let before = self.passed.load(Ordering::Relaxed);
        let look = async || {
            let passed = self.passed.load(Ordering::Relaxed) - before;
            ensure!(passed >= ORDERS, "{passed} so far");
            Ok(())
        };
        lab.eventually(format!("{ORDERS} orders are served"), look).await
    }

    /// Ends it, and waits until the trace of every order is stored whole. Stops the lab.
    async fn arrives(self, lab: Lab) -> Result<()> {
        let sent = self.stop().await?;
        let look = async || {
            let mut missing = Vec::new();
            for (id, phase) in &sent {
                let stored = lab.jaeger().trace(id).await?.map_or(0, |trace| trace.spans.len());
                let expected = ORDER.lines().count();
                if stored != expected {
                    missing.push(format!("{id} ({phase}): {stored} of {expected} spans"));
                }
            }
            ensure!(
                missing.is_empty(),
                "{} of {} traces are not whole: {missing:?}",
                missing.len(),
                sent.len()
            );
            Ok(())
        };
        let whole = lab.eventually("every order's trace is whole", look).await;
        // The services count what they deliver: they say whether it was they who lost something.
        match (whole, lab.stop().await) {
            (Ok(()), stopped) => stopped,
            (Err(missing), Ok(())) => {
                Err(missing.context("the pipeline lost something, and the services nothing"))
            }
            (Err(missing), Err(lost)) => Err(missing.context(format!("{lost:#}"))),
        }
    }

    /// Ends it; gives back the traces, each with the phase it fell into.
    async fn stop(self) -> Result<Vec<(TraceId, String)>> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.task.await??;
        let phase = |order: usize| {
            let phase = self.phases.iter().rev().find(|(_, before)| *before <= order);
            phase.map(|(phase, _)| phase.clone()).unwrap_or_default()
        };
        Ok(sent.into_iter().enumerate().map(|(order, id)| (id, phase(order))).collect())
    }
}
