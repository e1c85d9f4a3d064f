//! Log records have the IDs of the span in which they were written.

use anyhow::{Context as _, Result, ensure};
use sightline_tests::caller::Caller;
use sightline_tests::log_records::LogRecord;
use sightline_tests::outline::find;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, ORDERS, SERVICES, STOCK, TestStack, USERS};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("logs::records_have_the_ids_of_their_span", ids);
}

/// For each service: the message that it logs for an order, and the title of the span in which it logs the message.
const RECORDS: [(&str, &str, &str); 3] = [
    (ORDERS, "order read, stock reserved", "orders server GET /orders/{id}"),
    (USERS, "user read", "users server GET /users/{id}"),
    (STOCK, "stock reserved", "stock server fixture.v1.Stock/Reserve"),
];

async fn ids(stack: &TestStack) -> Result<()> {
    let response = stack.get_order(&Caller::new(), "4").await?;
    let trace = stack.wait_for_trace(&response.trace, ORDER).await?;
    let mut expected = Vec::new();
    for (process, message, title) in RECORDS {
        let span = find(&trace, title).with_context(|| format!("span {title} is missing"))?;
        expected.push(LogRecord {
            service: process.to_owned(),
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
    let check = async || {
        let stored = of_trace(stack.stored_logs().await?);
        ensure!(stored == expected, "the log store has {stored:#?}");
        let written =
            SERVICES.map(|process| stack.console_logs(process)).into_iter().collect::<Result<Vec<_>>>()?;
        let written = of_trace(written.concat());
        ensure!(written == expected, "the services wrote {written:#?}");
        Ok(())
    };
    stack.eventually(format!("the log records of trace {} are {expected:#?}", trace.id), check).await?;

    // The IDs of a log record are empty if it was written outside a request.
    let records = stack.console_logs(ORDERS)?;
    let started = records.iter().find(|record| record.message == "serving orders over HTTP");
    let started = started.context("orders has not logged its startup message")?;
    ensure!(started.trace_id.is_empty() && started.span_id.is_empty(), "{started:?}");
    Ok(())
}
