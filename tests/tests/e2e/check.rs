//! `sightline check` says whether all of it works, in a place that has nothing: what `helm test` runs in a cluster.

use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use sightline_tests::lab::{Lab, ORDER, services};
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("check::a_whole_trace_is_shown", whole);
    suite.shared("check::what_is_missing_is_said", missing);
    suite.shared("check::who_does_not_answer_is_named", unanswered);
}

/// Runs it without a home, a terminal, a temporary directory or authorities of the system.
async fn check(orders: &str, jaeger: &str, within: &str) -> Result<Output> {
    let program = services()?.join("sightline");
    tokio::process::Command::new(&program)
        .args(["check", "--within", within])
        .env_clear()
        .envs([("SIGHTLINE_ORDERS_URL", orders), ("SIGHTLINE_JAEGER_URL", jaeger)])
        .envs([("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")])
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("{} does not run", program.display()))
}

fn has_ended(output: &Output, code: i32, channel: &[u8], words: &[&str]) -> Result<()> {
    let text = String::from_utf8_lossy(channel);
    let lacks: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
    ensure!(output.status.code() == Some(code) && lacks.is_empty(), "without {lacks:?}: {output:?}");
    Ok(())
}

async fn whole(lab: &Lab) -> Result<()> {
    let output = check(&lab.stack().order_url(), lab.jaeger().address(), "60s").await?;
    let spans = format!("{} spans", ORDER.lines().count());
    has_ended(&output, 0, &output.stdout, &["200 OK", &spans, "reserve_stock", lab.jaeger().address()])
}

async fn missing(lab: &Lab) -> Result<()> {
    // The gateway waits twice as long before it decides.
    let output = check(&lab.stack().order_url(), lab.jaeger().address(), "1s").await?;
    let said = ["not complete", "server span of inventory-service", lab.jaeger().address()];
    has_ended(&output, 1, &output.stderr, &said)
}

async fn unanswered(lab: &Lab) -> Result<()> {
    // A port that was free a moment ago.
    let nobody = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    let output = check(&nobody, lab.jaeger().address(), "60s").await?;
    has_ended(&output, 2, &output.stderr, &[&nobody, "--orders"])?;
    let output = check(&lab.stack().order_url(), &nobody, "60s").await?;
    has_ended(&output, 2, &output.stderr, &[&nobody, "--jaeger"])
}
