//! `sightline check` in a minimal environment, as `helm test` runs it in a cluster.

use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::Trace;
use sightline::stack::{JAEGER, StackConfig};
use sightline_tests::examples::{ORDER, ORDER_SERVICE};
use sightline_tests::outline::outline;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{TestStack, services};

/// The variable of the head sampler.
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";

pub(crate) fn add(suite: &mut Suite) {
    suite.add_checkout("examples::check::shows_a_complete_trace", complete);
    suite.add_checkout("examples::check::works_with_a_service_that_samples", sampled);
    suite.add_checkout("examples::check::waits_for_the_stores", stores);
    suite.add_checkout("examples::check::reports_missing_spans", missing);
    suite.add_checkout("examples::check::names_the_unreachable_service", unreachable);
}

/// Runs `sightline check` without a home directory, a terminal, a temporary directory or system CAs.
async fn check(orders: &str, jaeger: &str, within: &str) -> Result<Output> {
    run(orders, jaeger, &["--within", within]).await
}

async fn run(orders: &str, jaeger: &str, options: &[&str]) -> Result<Output> {
    let program = services()?.join("sightline");
    tokio::process::Command::new(&program)
        .arg("check")
        .args(options)
        .env_clear()
        .envs([("SIGHTLINE_ORDERS_URL", orders), ("SIGHTLINE_JAEGER_URL", jaeger)])
        .envs([("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")])
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("running {} failed", program.display()))
}

fn ensure_output(output: &Output, code: i32, stream: &[u8], expected: &[&str]) -> Result<()> {
    let text = String::from_utf8_lossy(stream);
    let missing: Vec<_> = expected.iter().filter(|part| !text.contains(**part)).collect();
    ensure!(
        output.status.code() == Some(code) && missing.is_empty(),
        "expected exit code {code} and {expected:?}; {missing:?} is missing: {output:?}"
    );
    Ok(())
}

async fn complete(stack: &TestStack) -> Result<()> {
    let output = check(&stack.inner().url(ORDER_SERVICE)?, stack.jaeger().address(), "60s").await?;
    let spans = format!("{} spans", ORDER.lines().count());
    ensure_output(
        &output,
        0,
        &output.stdout,
        &["200 OK", &spans, "reserve_stock", stack.jaeger().address()],
    )?;
    // A caller's span that is not stored would make the trace incomplete in Jaeger's UI.
    let stored = outline(&stored_trace(stack, &output).await?);
    ensure!(stored == ORDER.replacen("^ ", "", 1), "the root has a parent, or spans differ:\n{stored}");
    Ok(())
}

/// Without a caller's span, this service records no trace.
async fn sampled(stack: &TestStack) -> Result<()> {
    let sampler = |config: StackConfig| config.with(ORDER_SERVICE, SAMPLER, "parentbased_always_off");
    let mut service = stack.start_single_service(ORDER_SERVICE, sampler).await?;
    let url = service.url()?;
    let output = check(url.as_str(), stack.jaeger().address(), "60s").await?;
    let spans = format!("{} spans", ORDER.lines().count());
    ensure_output(&output, 0, &output.stdout, &["200 OK", &spans, "no errors"])?;
    let stored = outline(&stored_trace(stack, &output).await?);
    ensure!(stored == ORDER, "{stored}");
    let exit = service.stop().await?;
    ensure!(exit.is_clean(), "{}, {}", exit.describe(), service.log_tail());
    Ok(())
}

/// Returns the trace that the command has found.
async fn stored_trace(stack: &TestStack, output: &Output) -> Result<Trace> {
    let text = String::from_utf8_lossy(&output.stdout);
    let id = text.lines().next().and_then(|line| line.rsplit(' ').next()).context("no trace id")?;
    stack.jaeger().trace(&id.parse()?).await?.context("the trace is not stored")
}

async fn stores(stack: &TestStack) -> Result<()> {
    let orders = stack.inner().url(ORDER_SERVICE)?;
    let output = run(&orders, stack.jaeger().address(), &["--stores", "--within", "90s"]).await?;
    let expected = "The stores have 3 log records of the trace, and the metrics of order-service";
    ensure_output(&output, 0, &output.stdout, &[expected])?;

    // Jaeger itself does not serve the pages of the stores.
    let ports = stack.inner().ports();
    let own = format!("http://127.0.0.1:{}", ports.number(JAEGER, "ui")?);
    let output = run(&orders, &own, &["--stores", "--within", "90s"]).await?;
    ensure_output(
        &output,
        2,
        &output.stderr,
        &["/select/logsql/query is not that of a store", "global.stores.enabled"],
    )
}

async fn missing(stack: &TestStack) -> Result<()> {
    // The gateway waits for two seconds before it makes a sampling decision, so Jaeger does not have the complete trace
    // after one second.
    let output = check(&stack.inner().url(ORDER_SERVICE)?, stack.jaeger().address(), "1s").await?;
    let expected = ["not complete", "server span from inventory-service", stack.jaeger().address()];
    ensure_output(&output, 1, &output.stderr, &expected)
}

async fn unreachable(stack: &TestStack) -> Result<()> {
    // Nothing listens at this address, because the listener that reserved the port is dropped immediately.
    let unused_address = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    let output = check(&unused_address, stack.jaeger().address(), "60s").await?;
    ensure_output(&output, 2, &output.stderr, &[&unused_address, "--orders"])?;
    let output = check(&stack.inner().url(ORDER_SERVICE)?, &unused_address, "60s").await?;
    ensure_output(&output, 2, &output.stderr, &[&unused_address, "--pages"])
}
