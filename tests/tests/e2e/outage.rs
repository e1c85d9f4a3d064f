//! The agent or the gateway stops and restarts under traffic, and no span is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::TraceId;
use sightline::stack::{AGENT, GATEWAY};
use sightline_tests::caller::Caller;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, TestStack};
use tokio::task::JoinHandle;

pub(crate) fn add(suite: &mut Suite) {
    suite.add_standalone("outage::loses_no_spans_while_the_agent_or_gateway_is_stopped", stopped);
    suite.add_standalone("outage::loses_no_spans_when_the_agent_is_killed", killed);
    suite.add_standalone("outage::a_stopped_agent_has_drained_its_queue", drained);
    suite.add_standalone("outage::loses_no_spans_in_repeated_restarts", restarted);
}

/// The number of orders that are served in each phase before the next phase starts.
const ORDERS_PER_PHASE: usize = 40;

/// The time between two orders. It is long enough that the queue of a service, which holds 2048 spans, does not fill up
/// while the agent is stopped.
const PERIOD: Duration = Duration::from_millis(25);

async fn stopped() -> Result<()> {
    let mut stack = TestStack::start(|config| config).await?;
    let mut traffic = Traffic::start(&stack)?;
    traffic.wait_for_orders(&stack, "before").await?;
    for process in [AGENT, GATEWAY] {
        traffic.begin_phase(format!("{process} stops"));
        stack.stop_process(process).await?;
        traffic.wait_for_orders(&stack, format!("without {process}")).await?;
        stack.start_processes(&[process]).await?;
        traffic.wait_for_orders(&stack, format!("{process} is running again")).await?;
    }
    traffic.finish(stack).await
}

/// The agent is killed, as on a node that runs out of memory. The gateway is already stopped when the agent is killed,
/// so the agent's queue on disk has the only copy of some spans.
async fn killed() -> Result<()> {
    let mut stack = TestStack::start(|config| config).await?;
    let mut traffic = Traffic::start(&stack)?;
    traffic.wait_for_orders(&stack, "before").await?;
    traffic.begin_phase("the gateway stops");
    stack.stop_process(GATEWAY).await?;
    traffic.wait_for_orders(&stack, "without gateway").await?;
    wait_for_queued_spans(&stack).await?;
    traffic.begin_phase("the agent is killed");
    stack.inner_mut().kill_process(AGENT).await?;
    traffic.begin_phase("the agent was killed");
    stack.start_processes(&[AGENT, GATEWAY]).await?;
    traffic.wait_for_orders(&stack, "after").await?;
    traffic.finish(stack).await
}

/// The agent drains its queue before it stops. It must drain the queue, because the disk of an agent's pod is deleted
/// when the pod is replaced. In this test, the queue holds the spans that the agent could not send while the gateway
/// was stopped.
async fn drained() -> Result<()> {
    let stack = TestStack::start(|mut config| {
        config.stop_timeout = Duration::from_mins(1);
        config.with(AGENT, "SIGHTLINE_DRAIN_TIMEOUT", IN_A_CLUSTER)
    });
    let mut stack = stack.await?;
    let mut traffic = Traffic::start(&stack)?;
    traffic.wait_for_orders(&stack, "before").await?;
    traffic.begin_phase("the gateway stops");
    stack.stop_process(GATEWAY).await?;
    traffic.wait_for_orders(&stack, "without gateway").await?;
    wait_for_queued_spans(&stack).await?;
    stack.start_processes(&[GATEWAY]).await?;
    traffic.begin_phase("the agent stops");
    stack.stop_process(AGENT).await?;
    std::fs::remove_dir_all(stack.inner().dir().join("agent/queue"))?;
    traffic.begin_phase("the agent's queue is deleted");
    stack.start_processes(&[AGENT]).await?;
    traffic.wait_for_orders(&stack, "after").await?;
    traffic.finish(stack).await
}

/// The drain timeout of an agent in a cluster. After an outage, the agent waits before it tries a gateway again: the
/// retries and the reconnection each wait longer after each failure. On a slow machine, this took more than eight
/// seconds.
const IN_A_CLUSTER: &str = "40s";

/// The number of restarts of each Collector. The test finds Collectors that crash because they accept data before they
/// are ready. One restart is not enough, because such a Collector does not crash at every start.
const RESTARTS: usize = 5;

async fn restarted() -> Result<()> {
    let mut stack = TestStack::start(|config| config).await?;
    let mut traffic = Traffic::start(&stack)?;
    traffic.wait_for_orders(&stack, "before").await?;
    for restart in 1..=RESTARTS {
        for process in [AGENT, GATEWAY] {
            traffic.begin_phase(format!("restart {restart} of {process}"));
            stack.stop_process(process).await?;
            stack.start_processes(&[process]).await?;
        }
        // Wait until the services' queues are empty before the next restart, because a queue has room for the spans of
        // only a few seconds.
        stack.wait_for_pipeline().await?;
    }
    traffic.finish(stack).await
}

/// Waits until spans are in the agent's queue.
async fn wait_for_queued_spans(stack: &TestStack) -> Result<()> {
    let check = async || {
        let metrics = stack.metrics(stack.inner().ports().number(AGENT, "metrics")?).await?;
        let queued = metrics.sum("otelcol_exporter_queue_size", &[("data_type", "traces")]);
        ensure!(queued.is_some_and(|bytes| bytes > 0.0), "the queue size is {queued:?}");
        Ok(())
    };
    stack.eventually("the agent queues spans that it cannot send", check).await
}

/// A task that requests one order after another until it is stopped.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    /// The name of each phase, and the number of orders that were served before the phase.
    phases: Vec<(String, usize)>,
    task: JoinHandle<Result<Vec<TraceId>>>,
}

impl Traffic {
    pub(crate) fn start(stack: &TestStack) -> Result<Self> {
        let (http, orders_url) = (stack.http().clone(), stack.orders_url()?);
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (task_stop, task_served) = (Arc::clone(&stop), Arc::clone(&served));
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PERIOD);
            let mut sent = Vec::new();
            while !task_stop.load(Ordering::Relaxed) {
                ticks.tick().await;
                let (caller, path) = (Caller::new(), format!("orders/{}", 1 + sent.len() % 100));
                let response =
                    tokio::time::timeout(Duration::from_secs(5), caller.get(&http, &orders_url, &path));
                // Orders must not become slow when telemetry cannot be exported.
                let response = response.await.context("an order took longer than five seconds")??;
                ensure!(response.status == 200, "{response:?}");
                sent.push(response.trace);
                task_served.fetch_add(1, Ordering::Relaxed);
            }
            Ok(sent)
        });
        Ok(Self { stop, served, phases: Vec::new(), task })
    }

    /// Starts a new phase of the test. Error messages contain the phase of each incomplete trace.
    pub(crate) fn begin_phase(&mut self, phase: impl Into<String>) {
        self.phases.push((phase.into(), self.served.load(Ordering::Relaxed)));
    }

    /// Starts a new phase and waits until [`ORDERS_PER_PHASE`] orders are served in this phase.
    pub(crate) async fn wait_for_orders(
        &mut self,
        stack: &TestStack,
        phase: impl Into<String>,
    ) -> Result<()> {
        self.begin_phase(phase);
        let before = self.served.load(Ordering::Relaxed);
        let check = async || {
            let served = self.served.load(Ordering::Relaxed) - before;
            ensure!(served >= ORDERS_PER_PHASE, "{served} orders so far");
            Ok(())
        };
        stack.eventually(format!("{ORDERS_PER_PHASE} orders are served"), check).await
    }

    /// Stops the traffic, waits until the trace of every order is complete, and stops the stack.
    pub(crate) async fn finish(self, stack: TestStack) -> Result<()> {
        let sent = self.stop().await?;
        let check = async || {
            let mut missing = Vec::new();
            for (id, phase) in &sent {
                let stored = stack.jaeger().trace(id).await?.map_or(0, |trace| trace.spans.len());
                let expected = ORDER.lines().count();
                if stored != expected {
                    missing.push(format!("{id} ({phase}): {stored} of {expected} spans"));
                }
            }
            ensure!(
                missing.is_empty(),
                "{} of {} traces are incomplete: {missing:?}",
                missing.len(),
                sent.len()
            );
            Ok(())
        };
        let complete = stack.eventually("the trace of every order is complete", check).await;
        // A service counts the spans that it delivers and loses. If it lost spans, stopping the stack returns an error.
        match (complete, stack.stop().await) {
            (Ok(()), stopped) => stopped,
            (Err(missing), Ok(())) => Err(missing.context("the pipeline lost spans, the services lost none")),
            (Err(missing), Err(lost)) => Err(missing.context(format!("{lost:#}"))),
        }
    }

    /// Stops the task. Returns each trace and the phase in which the order was served.
    pub(crate) async fn stop(self) -> Result<Vec<(TraceId, String)>> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.task.await??;
        let phase = |order: usize| {
            let phase = self.phases.iter().rev().find(|(_, before)| *before <= order);
            phase.map(|(phase, _)| phase.clone()).unwrap_or_default()
        };
        Ok(sent.into_iter().enumerate().map(|(order, id)| (id, phase(order))).collect())
    }
}
