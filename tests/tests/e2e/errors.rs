//! Failures are errors, with their cause; answers that say no are not.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value as Json;
use sightline::jaeger::{Status, Value};
use sightline_tests::caller::Caller;
use sightline_tests::lab::Lab;
use sightline_tests::outline::find;
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("errors::a_failure_is_an_error_all_the_way_up", failure);
    suite.shared("errors::a_caller_who_is_told_no_is_no_error", refusals);
}

const FAILED: &str = "\
^ order-service server GET /orders/{id} ! 502
  order-service internal read_order
    order-service client SELECT orders
  order-service internal read_user ! order_service::error::UpstreamError::Wrong
    order-service client GET /users/{id} ! 500
      user-service server GET /users/{id} ! 500
        user-service internal read_user ! user_service::users::UsersError::BuiltIn
          user-service client SELECT users
";

async fn failure(lab: &Lab) -> Result<()> {
    let answer = lab.order(&Caller::new(), "999").await?;
    ensure!(answer.status == 502, "{answer:?}");
    let trace = lab.trace(&answer.trace, FAILED).await?;

    // Once, where it arose, and not once more at each level.
    let exceptions: Vec<_> = trace
        .of_service("user-service")
        .flat_map(|span| span.events.iter().map(move |event| (span.name.as_str(), event)))
        .collect();
    let [(span, event)] = exceptions.as_slice() else { anyhow::bail!("events are {exceptions:?}") };
    ensure!((*span, event.name.as_str()) == ("read_user", "exception"), "{span}: {event:?}");
    let said = |key: &str| {
        let found = event.attributes.iter().find(|(name, _)| name == key);
        found.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    };
    ensure!(said("exception.type") == "user_service::users::UsersError::BuiltIn", "{event:?}");
    ensure!(said("exception.message") == "user 999 fails because SIGHTLINE_FAULTS is on", "{event:?}");

    let first = find(&trace, "order-service server GET /orders/{id}").context("no first span")?;
    ensure!(first.attribute("http.response.status_code").and_then(Value::as_int) == Some(502), "{first:?}");

    // The caller gets the id to ask for help with, and no word of what is inside.
    let body: Json = serde_json::from_str(&answer.body)?;
    ensure!(body["trace_id"] == answer.trace.as_str(), "{body}");
    ensure!(!answer.body.contains("SIGHTLINE_FAULTS"), "{body}");

    // One line of log for each service that failed, with the ids of the trace.
    for process in [sightline::stack::Process::OrderService, sightline::stack::Process::UserService] {
        let lines = lab.console(process)?;
        let errors =
            lines.iter().filter(|line| line.trace_id == trace.id && line.severity == "ERROR").count();
        ensure!(errors == 1, "{process} logged {errors} errors");
    }
    Ok(())
}

async fn refusals(lab: &Lab) -> Result<()> {
    let unknown = "\
^ order-service server GET /orders/{id}
  order-service internal read_order
    order-service client SELECT orders
";
    for (path, status, shape) in [
        ("orders/4242", 404, unknown),
        ("orders/abc", 400, "^ order-service server GET /orders/{id}\n"),
        ("orders/-1", 400, "^ order-service server GET /orders/{id}\n"),
        ("elsewhere", 404, "^ order-service server GET\n"),
    ] {
        let answer = Caller::new().get(lab.http(), &lab.orders()?, path).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        // A failed span would have a mark in its line.
        let trace = lab.trace(&answer.trace, shape).await?;
        let body: Json = serde_json::from_str(&answer.body)?;
        ensure!(body["trace_id"] == answer.trace.as_str() && body["status"] == status, "{path}: {body}");
        for span in &trace.spans {
            ensure!(span.status == Status::Unset && span.events.is_empty(), "{path}: {span:?}");
            ensure!(span.attribute("error.type").is_none(), "{path}: {span:?}");
        }
    }
    Ok(())
}
