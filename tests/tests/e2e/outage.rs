//! A part of the pipeline goes and comes back under traffic: nothing is lost.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::TraceId;
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, ORDER};
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.alone("outage::what_a_stopped_part_misses_is_delivered_when_it_is_back", outage);
}

/// Orders in each phase: before, without, and after.
const ORDERS: usize = 40;

async fn outage() -> Result<()> {
    let mut lab = Lab::start(|config| config).await?;
    let mut sent = orders(&lab).await?;
    for part in [Process::Agent, Process::Gateway] {
        let exit = lab.stack_mut().stop_process(part).await?;
        ensure!(exit.is_clean(), "{part}: {}", exit.describe());
        sent.extend(orders(&lab).await?);
        // They have tried in vain, so that it is the trying again that is tested.
        let (log, word) = match part {
            Process::Agent => (Process::OrderService, None),
            _ => (Process::Agent, Some("Exporting failed")),
        };
        if let Some(word) = word {
            let look = async || {
                let log = std::fs::read_to_string(lab.stack().log_path(log))?;
                ensure!(log.contains(word), "it has not");
                Ok(())
            };
            lab.eventually(format!("{log} has tried in vain"), look).await?;
        }
        lab.stack_mut().start_process(part)?;
        lab.stack().ready(|_| {}).await?;
        sent.extend(orders(&lab).await?);
    }
    // Killed, as by a node out of memory: its queue is on disk.
    lab.stack_mut().stop_process(Process::Gateway).await?;
    sent.extend(orders(&lab).await?);
    let queued = async || {
        let metrics = lab.metrics(lab.stack().ports().agent_metrics).await?;
        let waiting = metrics.sum("otelcol_exporter_queue_size", &[("data_type", "traces")]);
        ensure!(waiting.is_some_and(|bytes| bytes > 0.0), "{waiting:?} is in the queue");
        Ok(())
    };
    lab.eventually("the agent keeps what it cannot send", queued).await?;
    // All of these orders' spans have left the services: only then is it the agent's loss if they are lost.
    let delivered = async || {
        let metrics = lab.metrics(lab.stack().ports().agent_metrics).await?;
        let accepted = metrics.sum("otelcol_receiver_accepted_spans", &[]).or_else(|| {
            metrics.sum("otelcol_receiver_accepted_spans_total", &[])
        });
        let least = f64::from(u32::try_from(2 * ORDERS * ORDER.lines().count())?);
        ensure!(accepted.is_some_and(|spans| spans >= least), "{accepted:?} of {least} spans are accepted");
        Ok(())
    };
    lab.eventually("the agent has every span", delivered).await?;
    lab.stack_mut().kill_process(Process::Agent).await?;
    lab.stack_mut().start_process(Process::Agent)?;
    lab.stack_mut().start_process(Process::Gateway)?;
    lab.stack().ready(|_| {}).await?;
    sent.extend(orders(&lab).await?);

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

async fn orders(lab: &Lab) -> Result<Vec<TraceId>> {
    let mut sent = Vec::new();
    for order in 0..ORDERS {
        let (caller, id) = (Caller::new(), (1 + order).to_string());
        let request = lab.order(&caller, &id);
        // Services do not wait for their telemetry.
        let answer = tokio::time::timeout(Duration::from_secs(5), request).await.context("it hangs")??;
        ensure!(answer.status == 200, "{answer:?}");
        sent.push(answer.trace);
    }
    Ok(sent)
}
