//! Each service's traces, metrics and logs arrive.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, ORDER};
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("matrix::every_signal_of_every_service_arrives", every_signal_arrives);
}

/// A service, and what it measures for each request.
const SERVICES: [(Process, &str); 3] = [
    (Process::OrderService, "http_server_request_duration_seconds_count"),
    (Process::UserService, "http_server_request_duration_seconds_count"),
    (Process::InventoryService, "rpc_server_call_duration_seconds_count"),
];

async fn every_signal_arrives(lab: &Lab) -> Result<()> {
    let answer = lab.order(&Caller::new(), "7").await?;
    ensure!(answer.status == 200, "{answer:?}");
    let look = async || {
        let trace = lab.jaeger().trace(&answer.trace).await?;
        let logs = lab.stored_logs()?;
        let gateway = lab.gateway_metrics().await?;
        let mut table = format!("{:<20}traces  metrics  /metrics  logs\n", "");
        for (process, metric) in SERVICES {
            let name = process.name();
            let own = lab.metrics(admin_port(lab, process)).await?;
            let arrived = [
                trace.as_ref().is_some_and(|trace| trace.of_service(name).next().is_some()),
                gateway.sum(metric, &[("job", name)]).is_some_and(|count| count >= 1.0),
                own.sum(metric, &[]).is_some_and(|count| count >= 1.0),
                logs.iter().any(|log| log.service == name && log.trace_id == answer.trace.as_str()),
            ];
            let cells = arrived.map(|arrived| if arrived { "yes" } else { "NO" });
            let _ = writeln!(table, "{name:<20}{:<8}{:<9}{:<10}{}", cells[0], cells[1], cells[2], cells[3]);
        }
        ensure!(!table.contains("NO"), "so far:\n{table}");
        Ok(())
    };
    lab.eventually("every signal of every service arrives", look).await?;
    // And the trace is whole, not only begun.
    lab.trace(&answer.trace, ORDER).await?;
    Ok(())
}

fn admin_port(lab: &Lab, process: Process) -> u16 {
    let ports = lab.stack().ports();
    match process {
        Process::OrderService => ports.order_admin,
        Process::UserService => ports.user_admin,
        _ => ports.inventory_admin,
    }
}
