//! Runs the blocks of commands of the pages that send requests to the examples.

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::TraceId;
use sightline_tests::caller::Caller;
use sightline_tests::documents::{self, Runner};
use sightline_tests::examples::ORDER_SERVICE;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{TestStack, root};

use crate::docs::run;

pub(crate) fn add(suite: &mut Suite) {
    suite.add_checkout("examples::docs::the_commands_in_adopt_create_a_service", adopt);
    suite.add_checkout("examples::docs::the_commands_in_readme_succeed", readme);
    suite.add_checkout("examples::docs::the_commands_in_terminal_succeed", terminal);
    suite.add_checkout("examples::docs::the_commands_in_tour_succeed", tour);
    suite.add_checkout("examples::docs::the_commands_in_troubleshoot_succeed", troubleshoot);
}

async fn adopt(stack: &TestStack) -> Result<()> {
    // The commands of the page start in the directory that contains the checkout.
    let directory = tempfile::tempdir()?;
    std::os::unix::fs::symlink(root().canonicalize()?, directory.path().join("sightline"))?;
    let output = run(stack, documents::of("docs/adopt.md", Runner::E2e)?, directory.path()).await?;
    let traces = trace_ids(&output)?;
    ensure!(traces.len() == 2, "{} responses have a traceresponse header:\n{output}", traces.len());
    wait_for_services(stack, &traces[0], &["hello"]).await?;
    wait_for_services(stack, &traces[1], &["hello", "inventory-service", "order-service", "user-service"])
        .await
}

async fn readme(stack: &TestStack) -> Result<()> {
    let output = run(stack, documents::of("README.md", Runner::E2e)?, &root()).await?;
    let traces = trace_ids(&output)?;
    ensure!(traces.len() == 1, "{} responses have a traceresponse header:\n{output}", traces.len());
    wait_for_services(stack, &traces[0], &["inventory-service", "order-service", "user-service"]).await
}

async fn terminal(stack: &TestStack) -> Result<()> {
    // The commands read the telemetry of earlier orders. The last one failed, so there is a record with a level of
    // error.
    super::complete_order(stack).await?;
    let orders = stack.inner().url(ORDER_SERVICE)?.parse()?;
    let response = Caller::new().get(stack.http(), &orders, "orders/999").await?;
    ensure!(response.status == 502, "{response:?}");
    let output = run(stack, documents::of("docs/terminal.md", Runner::E2e)?, &root()).await?;
    for text in ["order read, stock reserved", "request failed", "GET /orders/{id}"] {
        ensure!(output.contains(text), "{text} is missing in:\n{output}");
    }
    Ok(())
}

async fn tour(stack: &TestStack) -> Result<()> {
    // The stores have the telemetry of this order when the page reads them.
    super::complete_order(stack).await?;
    let stored = async || {
        let count = "http_server_request_duration_seconds_count{http_route='/orders/{id}'}";
        ensure!(stack.stored_metric(&format!("sum({count})")).await?.is_some(), "the metric is not stored");
        Ok(())
    };
    stack.eventually("the metrics are stored", stored).await?;
    let output = run(stack, documents::of("docs/tour.md", Runner::E2e)?, &root()).await?;
    for expected in [r#""_msg":"order read, stock reserved""#, r#""http_route":"/orders/{id}""#] {
        ensure!(output.contains(expected), "{expected} is missing in:\n{output}");
    }
    Ok(())
}

async fn troubleshoot(stack: &TestStack) -> Result<()> {
    // The page reads the trace of an earlier order.
    super::complete_order(stack).await?;
    run(stack, documents::of("docs/troubleshoot.md", Runner::E2e)?, &root()).await?;
    Ok(())
}

/// Returns the trace IDs in the `traceresponse` headers that `curl -i` printed.
fn trace_ids(output: &str) -> Result<Vec<TraceId>> {
    let headers = output.lines().filter_map(|line| line.strip_prefix("traceresponse: 00-"));
    headers.map(|value| Ok(value.split('-').next().unwrap_or_default().parse()?)).collect()
}

/// Waits until a trace is stored with spans of exactly these services.
async fn wait_for_services(stack: &TestStack, id: &TraceId, expected: &[&str]) -> Result<()> {
    let check = async || {
        let trace = stack.jaeger().trace(id).await?.context("no span of the trace is stored")?;
        let mut services = trace.services();
        services.sort_unstable();
        ensure!(services == expected, "the trace has spans of {services:?}");
        Ok(())
    };
    stack.eventually(format!("trace {id} has spans of {expected:?}"), check).await
}
