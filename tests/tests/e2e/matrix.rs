//! The traces, metrics and logs of each service are stored.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, TestStack};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("matrix::every_signal_of_every_service_arrives", every_signal_arrives);
}

/// Each service, and the metric that counts the service's requests.
const SERVICES: [(Process, &str); 3] = [
    (Process::OrderService, "http_server_request_duration_seconds_count"),
    (Process::UserService, "http_server_request_duration_seconds_count"),
    (Process::InventoryService, "rpc_server_call_duration_seconds_count"),
];

async fn every_signal_arrives(stack: &TestStack) -> Result<()> {
    let response = stack.get_order(&Caller::new(), "7").await?;
    ensure!(response.status == 200, "{response:?}");
    let check = async || {
        let trace = stack.jaeger().trace(&response.trace).await?;
        let logs = stack.stored_logs()?;
        let gateway = stack.gateway_metrics().await?;
        let mut table = format!("{:<20}traces  metrics  /metrics  logs\n", "");
        for (process, metric) in SERVICES {
            let name = process.name();
            let own = stack.metrics(admin_port(stack, process)).await?;
            let arrived = [
                trace.as_ref().is_some_and(|trace| trace.spans_of(name).next().is_some()),
                gateway.sum(metric, &[("job", name)]).is_some_and(|count| count >= 1.0),
                own.sum(metric, &[]).is_some_and(|count| count >= 1.0),
                logs.iter().any(|log| log.service == name && log.trace_id == response.trace.as_str()),
            ];
            let cells = arrived.map(|arrived| if arrived { "yes" } else { "NO" });
            let _ = writeln!(table, "{name:<20}{:<8}{:<9}{:<10}{}", cells[0], cells[1], cells[2], cells[3]);
        }
        ensure!(!table.contains("NO"), "so far:\n{table}");
        Ok(())
    };
    stack.eventually("every signal of every service arrives", check).await?;
    // For the table, one stored span of each service is enough. So the test also waits until the trace is complete.
    stack.wait_for_trace(&response.trace, ORDER).await?;
    Ok(())
}

fn admin_port(stack: &TestStack, process: Process) -> u16 {
    let ports = stack.inner().ports();
    match process {
        Process::OrderService => ports.order_admin,
        Process::UserService => ports.user_admin,
        _ => ports.inventory_admin,
    }
}
