//! The gateway keeps failed and slow traces. If the sampling percentage is 0, the gateway drops all other traces. The
//! gateway counts spans before it drops traces, so it counts the spans of all traces.

use anyhow::{Context as _, Result, ensure};
use sightline_tests::caller::Caller;
use sightline_tests::outline::outline;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, TestStack, USER};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_standalone("sampling::keeps_failed_and_slow_traces_and_counts_all", keeps_failed_and_slow);
}

/// The number of requests that are neither slow nor failed.
const PLAIN_REQUESTS: usize = 20;

const FAILED: &str = "\
^ users server GET /users/{id} ! 500
  users internal read_user ! fixture::users::UserError::BuiltInFault
    users client SELECT users
";

async fn keeps_failed_and_slow() -> Result<()> {
    let stack = TestStack::start(|mut config| {
        config.sampling_percentage = 0;
        config
    });
    let stack = stack.await?;
    let mut plain = Vec::new();
    for id in 1..=PLAIN_REQUESTS {
        let response = stack.get_user(&Caller::new(), &id.to_string()).await?;
        ensure!(response.status == 200, "{response:?}");
        plain.push(response.trace);
    }
    let slow = stack.get_user(&Caller::new(), "998").await?;
    ensure!(slow.status == 200, "{slow:?}");
    let failed = stack.get_user(&Caller::new(), "999").await?;
    ensure!(failed.status == 500, "{failed:?}");
    stack.wait_for_trace(&slow.trace, USER).await?;
    // The failed request was the last request so far. When its trace is stored, the gateway has stored or dropped all
    // earlier traces.
    stack.wait_for_trace(&failed.trace, FAILED).await?;

    // The stored trace of a slow order is complete, although the order passes through all three services.
    let order = stack.get_order(&Caller::new(), "998").await?;
    ensure!(order.status == 200, "{order:?}");
    stack.wait_for_trace(&order.trace, ORDER).await?;

    for id in &plain {
        if let Some(trace) = stack.jaeger().trace(id).await? {
            anyhow::bail!("a trace that is neither slow nor failed is stored:\n{}", outline(&trace));
        }
    }

    // The gateway counts every request to users once: the plain requests, the slow request, the request that
    // orders sent for the order, and the failed request.
    let count = async |status: &str| {
        let labels = [
            ("service_name", "users"),
            ("span_name", "GET /users/{id}"),
            ("span_kind", "SPAN_KIND_SERVER"),
            ("http_response_status_code", status),
        ];
        anyhow::Ok(stack.gateway_metrics().await?.sum("traces_span_metrics_calls_total", &labels))
    };
    let expected = (f64::from(u32::try_from(PLAIN_REQUESTS + 2)?), 1.0);
    let check = async || {
        let served = count("200").await?.context("no request is counted")?;
        let failed = count("500").await?.context("no failed request is counted")?;
        ensure!(
            (served, failed) == expected,
            "{served} served and {failed} failed requests are counted, expected {expected:?}"
        );
        Ok(())
    };
    stack.eventually("the gateway has counted every request", check).await?;
    stack.stop().await
}
