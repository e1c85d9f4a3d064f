//! `sightline trace`, `logs` and `metrics` show in a terminal what is stored.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sightline::stack::{JAEGER, VICTORIA_LOGS};
use sightline_tests::caller::Caller;
use sightline_tests::command::{Running, output_of, run};
use sightline_tests::stores::ORDER_REQUESTS;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, ORDERS, SERVICES, STOCK, TestStack};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_standalone("terminal::logs_are_followed_across_a_restart", follow_across_restart);
    suite.add_shared("terminal::trace_shows_its_log_records", trace);
    suite.add_shared("terminal::trace_is_shown_without_the_log_store", trace_without_logs);
    suite.add_shared("terminal::logs_find_what_was_written", logs);
    suite.add_shared("terminal::logs_follow_new_records", follow);
    suite.add_shared("terminal::metrics_count_each_request_once", metrics);
    suite.add_shared("terminal::metrics_watch_until_ctrl_c", watch);
}

/// The message that each service logs for an order, and a part of the row of the span in which it logs the message.
const RECORDS: [(&str, &str); 3] = [
    ("GET /orders/{id}", "order read, stock reserved"),
    ("GET /users/{id}", "user read"),
    ("fixture.v1.Stock/Reserve", "stock reserved"),
];

async fn trace(stack: &TestStack) -> Result<()> {
    let response = stack.get_order(&Caller::new(), "6").await?;
    stack.wait_for_trace(&response.trace, ORDER).await?;
    let id = response.trace.as_str();
    let check = async || {
        let shown = output_of(stack, &["trace", id]).await?;
        let lines: Vec<_> = shown.lines().collect();
        for (span, message) in RECORDS {
            let is_row = |line: &&str| line.contains(" server ") && line.contains(span);
            let row = lines.iter().position(is_row).context(span)?;
            let record = lines.get(row + 1).copied().unwrap_or_default();
            ensure!(record.contains(" INFO ") && record.contains(message), "{span} in:\n{shown}");
        }
        ensure!(!shown.contains("without a stored span"), "{shown}");
        Ok(())
    };
    stack.eventually("each server span has its log record below it", check).await?;
    let spans = output_of(stack, &["trace", id, "--no-logs"]).await?;
    ensure!(spans.contains("GET /orders/{id}") && !spans.contains("INFO"), "{spans}");
    Ok(())
}

/// Jaeger's own port has no log store.
async fn trace_without_logs(stack: &TestStack) -> Result<()> {
    let response = stack.get_order(&Caller::new(), "6").await?;
    stack.wait_for_trace(&response.trace, ORDER).await?;
    let jaeger = format!("http://127.0.0.1:{}", stack.inner().ports().number(JAEGER, "ui")?);
    for option in ["--pages", "--jaeger"] {
        let output = run(stack, &["trace", response.trace.as_str(), option, &jaeger]).await?;
        let (shown, warning) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success() && shown.contains("GET /orders/{id}"), "{output:?}");
        ensure!(warning.contains("log records of the trace are not shown"), "{output:?}");
    }
    Ok(())
}

async fn logs(stack: &TestStack) -> Result<()> {
    let caller = Caller::new();
    let response = stack.get_order(&caller, "999").await?;
    ensure!(response.status >= 500, "{response:?}");
    let id = response.trace.as_str();
    let check = async || {
        let shown = output_of(stack, &["logs", "--trace", id, "--level", "error"]).await?;
        let records = shown.lines().filter(|line| line.contains(" ERROR ")).count();
        ensure!(records == 2 && shown.contains("request failed error="), "{shown}");
        Ok(())
    };
    stack.eventually("the two services that failed have an error each", check).await?;

    let arguments = ["logs", "--trace", id, "--service", ORDERS, "--since", "10m", "--json"];
    let json = output_of(stack, &arguments).await?;
    let record: Value = serde_json::from_str(&json).with_context(|| format!("not one record: {json}"))?;
    ensure!(record["service.name"] == ORDERS && record["trace_id"] == id, "{record:#}");

    for service in [r#"x" or *"#, "* | limit 3", r#"x\" or "service.name":*"#] {
        let output = run(stack, &["logs", "--service", service]).await?;
        let message = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1) && output.stdout.is_empty(), "{service}: {output:?}");
        ensure!(SERVICES.iter().all(|name| message.contains(name)), "{service}: {output:?}");
    }
    Ok(())
}

async fn follow(stack: &TestStack) -> Result<()> {
    let mut running = Running::start(stack, &["logs", "--follow", "--service", ORDERS])?;
    stack.eventually("the command has connected", async || printed(&running, "From the log store")).await?;
    for _ in 0..2 {
        let response = stack.get_order(&Caller::new(), "2").await?;
        let id = response.trace.as_str();
        stack.eventually("the new record is shown", async || printed(&running, id)).await?;
        let shown = running.output();
        ensure!(shown.matches(id).count() == 1, "the record is shown more than once:\n{shown}");
    }
    let status = running.interrupt().await?;
    ensure!(status.success(), "{status}: {}", running.errors());
    Ok(())
}

async fn follow_across_restart() -> Result<()> {
    let mut stack = TestStack::start(|config| config).await?;
    let mut running = Running::start(&stack, &["logs", "--follow", "--json", "--service", ORDERS])?;
    let first = stack.get_order(&Caller::new(), "2").await?.trace;
    stack.eventually("the first record is shown", async || printed(&running, first.as_str())).await?;
    stack.stop_process(VICTORIA_LOGS).await?;
    stack.start_processes(&[VICTORIA_LOGS]).await?;
    let second = stack.get_order(&Caller::new(), "2").await?.trace;
    stack.eventually("the second record is shown", async || printed(&running, second.as_str())).await?;
    let (shown, errors) = (running.output(), running.errors());
    for id in [&first, &second] {
        ensure!(shown.matches(id.as_str()).count() == 1, "{id} is not shown once:\n{shown}");
    }
    ensure!(errors.contains("connected again"), "{errors}");
    let status = running.interrupt().await?;
    ensure!(status.success(), "{status}: {errors}");
    stack.stop().await
}

fn printed(running: &Running, text: &str) -> Result<()> {
    let output = running.output();
    ensure!(output.contains(text), "{text} is missing in:\n{output}{}", running.errors());
    Ok(())
}

/// Other tests send orders at the same time, so the number of orders is between that before and after the command.
async fn metrics(stack: &TestStack) -> Result<()> {
    for id in ["1", "999"] {
        stack.get_order(&Caller::new(), id).await?;
    }
    // An instance that has stopped is still counted.
    let total = format!("sum(max_over_time({ORDER_REQUESTS}[1h]))");
    let check = async || {
        let before = stack.stored_metric(&total).await?.context("no order is counted")?;
        let json = output_of(stack, &["metrics", "--since", "1h", "--json"]).await?;
        let after = stack.stored_metric(&total).await?.context("no order is counted")?;
        let document: Value = serde_json::from_str(&json)?;
        let operations = document["operations"].as_array().context("no operations")?;
        let find = |service: &str, name: &str| -> Result<&Value> {
            let matches = |row: &&Value| row["service"] == service && row["operation"] == name;
            let found: Vec<_> = operations.iter().filter(matches).collect();
            ensure!(found.len() == 1, "{} rows for {name} of {service}: {document:#}", found.len());
            Ok(found[0])
        };
        let orders = find(ORDERS, "GET /orders/{id}")?;
        let count = orders["requests"].as_f64().context("no number")?;
        ensure!((before..=after).contains(&count), "{count} orders, stored {before} to {after}");
        let errors = orders["errors"].as_f64().context("no number")?;
        ensure!(errors >= 1.0 && errors < count, "{orders:#}");
        for row in [orders, find(STOCK, "fixture.v1.Stock/Reserve")?] {
            for key in ["rate", "p50", "p95", "p99"] {
                ensure!(row[key].as_f64().is_some_and(|value| value > 0.0), "{key} in {row:#}");
            }
        }
        Ok(())
    };
    stack.eventually("each operation is counted once", check).await?;

    let table = output_of(stack, &["metrics", "--service", ORDERS, "--since", "1h"]).await?;
    ensure!(table.contains("GET /orders/{id}") && !table.contains(STOCK), "{table}");
    let nothing = run(stack, &["metrics", "--service", r#"x"} or vector(1) #"#]).await?;
    ensure!(nothing.status.code() == Some(1) && nothing.stdout.is_empty(), "{nothing:?}");
    Ok(())
}

async fn watch(stack: &TestStack) -> Result<()> {
    let mut running = Running::start(stack, &["metrics", "--watch", "--interval", "1s", "--json"])?;
    let orders = |line: &str| -> Option<f64> {
        let document: Value = serde_json::from_str(line).ok()?;
        let mut rows = document["operations"].as_array()?.iter();
        rows.find(|row| row["operation"] == "GET /orders/{id}")?["requests"].as_f64()
    };
    let check = async || {
        // Each attempt adds an order, so the numbers of two lines differ.
        stack.get_order(&Caller::new(), "8").await?;
        let output = running.output();
        let mut numbers: Vec<_> = output.lines().filter_map(orders).collect();
        numbers.dedup();
        ensure!(numbers.len() > 1, "the numbers do not change:\n{output}{}", running.errors());
        Ok(())
    };
    stack.eventually("the number of orders changes", check).await?;
    let status = running.interrupt().await?;
    ensure!(status.success(), "{status}: {}", running.errors());
    Ok(())
}
