//! The gateway keeps what failed and what was slow, drops the rest, and has counted all of it before.

use anyhow::{Context as _, Result, ensure};
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, USER};
use sightline_tests::outline::outline;
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.alone("sampling::failed_and_slow_traces_are_kept_and_all_are_counted", sampling);
}

const PLAIN: usize = 20;

const FAILED: &str = "\
^ user-service server GET /users/{id} ! 500
  user-service internal read_user ! user_service::users::UsersError::BuiltIn
    user-service client SELECT users
";

async fn sampling() -> Result<()> {
    let lab = Lab::start(|mut config| {
        config.sampling_percentage = 0;
        config
    });
    let lab = lab.await?;
    let mut plain = Vec::new();
    for id in 1..=PLAIN {
        let answer = lab.user(&Caller::new(), &id.to_string()).await?;
        ensure!(answer.status == 200, "{answer:?}");
        plain.push(answer.trace);
    }
    let slow = lab.user(&Caller::new(), "998").await?;
    ensure!(slow.status == 200, "{slow:?}");
    let failed = lab.user(&Caller::new(), "999").await?;
    ensure!(failed.status == 500, "{failed:?}");
    lab.trace(&slow.trace, USER).await?;
    // This one came last: what is not stored by now never will be.
    lab.trace(&failed.trace, FAILED).await?;

    // The two are whole also when they went through all three services.
    let order = lab.order(&Caller::new(), "998").await?;
    ensure!(order.status == 200, "{order:?}");
    lab.trace(&order.trace, sightline_tests::lab::ORDER).await?;

    for id in &plain {
        if let Some(trace) = lab.jaeger().trace(id).await? {
            anyhow::bail!("a trace neither slow nor failed is stored:\n{}", outline(&trace));
        }
    }

    // Every span was counted, once: the plain requests, the slow one, the one behind the order, and the failed one.
    let count = async |status: &str| {
        let labels = [
            ("service_name", "user-service"),
            ("span_name", "GET /users/{id}"),
            ("span_kind", "SPAN_KIND_SERVER"),
            ("http_response_status_code", status),
        ];
        anyhow::Ok(lab.gateway_metrics().await?.sum("traces_span_metrics_calls_total", &labels))
    };
    let expected = (f64::from(u32::try_from(PLAIN + 2)?), 1.0);
    let look = async || {
        let served = count("200").await?.context("none is counted")?;
        let failed = count("500").await?.context("no failure is counted")?;
        ensure!((served, failed) == expected, "{served} and {failed} are counted instead of {expected:?}");
        Ok(())
    };
    lab.eventually("the gateway has counted every request", look).await?;
    lab.stop().await
}
