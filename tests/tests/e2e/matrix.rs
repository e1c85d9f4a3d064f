//! The traces, metrics and logs of each service are stored: of the fixture, and of `sightline.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, ensure};
use sightline::jaeger::TraceId;
use sightline::stack::StackSpec;
use sightline::stack::spec::{ProcessSpec, Protocol};
use sightline_tests::caller::Caller;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, TestStack};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("matrix::every_signal_of_every_service_arrives", every_signal_arrives);
    suite.add_checkout("matrix::every_signal_of_every_service_in_sightline_toml_arrives", of_checkout);
    suite.add_shared("matrix::the_trace_of_an_order_is_complete", order_is_complete);
}

/// The metric on the page `/metrics` of every service, also if it has served no request.
const TARGET: &str = "target_info";

/// Returns the metric that counts the requests of a service.
fn request_metric(service: &ProcessSpec) -> &'static str {
    match service.protocol {
        Some(Protocol::Http) => "http_server_request_duration_seconds_count",
        Some(Protocol::Grpc) => "rpc_server_call_duration_seconds_count",
        Some(Protocol::Worker) | None => TARGET,
    }
}

/// There is no telemetry if `sightline.toml` has no services.
async fn of_checkout(stack: &TestStack) -> Result<()> {
    if stack.inner().config().spec.services().next().is_none() {
        Ok(())
    } else {
        every_signal_arrives(stack).await
    }
}

async fn every_signal_arrives(stack: &TestStack) -> Result<()> {
    let spec = &stack.inner().config().spec;
    // For each service that a request reaches, the traces that must have its spans.
    let mut traces: BTreeMap<String, Vec<TraceId>> = BTreeMap::new();
    for service in spec.services() {
        let Some(path) = &service.try_path else { continue };
        let url = stack.inner().url(&service.name)?.parse()?;
        let response = Caller::new().get(stack.http(), &url, path.trim_start_matches('/')).await?;
        ensure!(response.status == 200, "{}: {response:?}", service.name);
        for name in reached_from(spec, service) {
            traces.entry(name).or_default().push(response.trace.clone());
        }
    }
    let check = async || {
        let logs = stack.stored_logs().await?;
        let mut table = format!("{:<20}traces  metrics  /metrics  logs\n", "");
        for service in spec.services() {
            let name = service.name.name();
            // No request of this test reaches a worker, or a gRPC service that no service calls. For such a service,
            // this test checks only the telemetry of its start: log records, and its page with metrics. Without the
            // library, it may have no metric to export before its first request or message.
            let ids = traces.get(name).map_or(&[][..], Vec::as_slice);
            let metric = if ids.is_empty() { TARGET } else { request_metric(service) };
            let mut has_spans = true;
            for id in ids {
                let trace = stack.jaeger().trace(id).await?;
                has_spans &= trace.is_some_and(|trace| trace.spans_of(name).next().is_some());
            }
            let stored = stack.stored_metric(&format!("sum({metric}{{service_name=\"{name}\"}})")).await?;
            let logs: Vec<_> = logs.iter().filter(|log| log.service == name).collect();
            let counts = |count: Option<f64>| count.is_some_and(|count| count >= 1.0);
            // A service without an admin port has no page with its metrics.
            let own = match stack.inner().ports().admin(name) {
                Ok(port) => counts(stack.metrics(port).await?.sum(metric, &[])),
                Err(_) => true,
            };
            let arrived = [
                has_spans,
                ids.is_empty() || counts(stored),
                own,
                !logs.is_empty() && ids.iter().all(|id| logs.iter().any(|log| log.trace_id == id.as_str())),
            ];
            let cells = arrived.map(|arrived| if arrived { "yes" } else { "NO" });
            let _ = writeln!(table, "{name:<20}{:<8}{:<9}{:<10}{}", cells[0], cells[1], cells[2], cells[3]);
        }
        ensure!(!table.contains("NO"), "so far:\n{table}");
        Ok(())
    };
    stack.eventually("every signal of every service arrives", check).await
}

/// Returns the names of a service and of all services that it calls directly or through other services.
fn reached_from(spec: &StackSpec, service: &ProcessSpec) -> Vec<String> {
    let mut reached = vec![service.name.to_string()];
    let mut next = 0;
    while let Some(service) = reached.get(next).and_then(|name| spec.get(name)) {
        for callee in &service.calls {
            if !reached.iter().any(|name| callee == name.as_str()) {
                reached.push(callee.to_string());
            }
        }
        next += 1;
    }
    reached
}

async fn order_is_complete(stack: &TestStack) -> Result<()> {
    let response = stack.get_order(&Caller::new(), "7").await?;
    ensure!(response.status == 200, "{response:?}");
    stack.wait_for_trace(&response.trace, ORDER).await?;
    Ok(())
}
