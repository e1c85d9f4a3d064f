//! Each log record says in which span it was written.

use anyhow::{Context as _, Result, ensure};
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, ORDER};
use sightline_tests::log_records::LogRecord;
use sightline_tests::outline::find;
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("logs::records_carry_the_ids_of_their_span", ids);
}

/// A service, what it logs about an order, and the span it does so in.
const RECORDS: [(Process, &str, &str); 3] = [
    (Process::OrderService, "order read, stock reserved", "order-service server GET /orders/{id}"),
    (Process::UserService, "user read", "user-service server GET /users/{id}"),
    (
        Process::InventoryService,
        "stock reserved",
        "inventory-service server sightline.inventory.v1.Inventory/Reserve",
    ),
];

async fn ids(lab: &Lab) -> Result<()> {
    let answer = lab.order(&Caller::new(), "4").await?;
    let trace = lab.trace(&answer.trace, ORDER).await?;
    let mut expected = Vec::new();
    for (process, message, title) in RECORDS {
        let span = find(&trace, title).with_context(|| format!("no span {title}"))?;
        expected.push(LogRecord {
            service: process.name().to_owned(),
            message: message.to_owned(),
            severity: "INFO".to_owned(),
            trace_id: trace.id.clone(),
            span_id: span.span_id.clone(),
        });
    }
    let of_trace = |mut records: Vec<LogRecord>| {
        records.retain(|record| record.trace_id == trace.id);
        records.sort();
        records
    };
    expected.sort();
    let look = async || {
        let stored = of_trace(lab.stored_logs()?);
        ensure!(stored == expected, "the gateway has {stored:#?}");
        let written =
            Process::SERVICES.map(|process| lab.console(process)).into_iter().collect::<Result<Vec<_>>>()?;
        let written = of_trace(written.concat());
        ensure!(written == expected, "the consoles have {written:#?}");
        Ok(())
    };
    lab.eventually(format!("the records of trace {} are {expected:#?}", trace.id), look).await?;

    // Outside of a request there is no id to make up.
    let started = lab.console(Process::OrderService)?;
    let started =
        started.iter().find(|record| record.message == "serving orders over HTTP").context("no start")?;
    ensure!(started.trace_id.is_empty() && started.span_id.is_empty(), "{started:?}");
    Ok(())
}
