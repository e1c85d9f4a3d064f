//! If a request fails with a server error, the span in which the error occurred records the cause, and the spans of all
//! callers are marked as failed. A client error does not mark spans as failed.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value as Json;
use sightline::jaeger::{Status, Value};
use sightline_tests::caller::Caller;
use sightline_tests::log_records::LogRecord;
use sightline_tests::outline::find;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDERS, TestStack, USERS};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("errors::a_server_error_marks_the_spans_of_every_caller_as_failed", server_error);
    suite.add_shared("errors::a_client_error_does_not_mark_spans_as_failed", client_errors);
}

const FAILED: &str = "\
^ orders server GET /orders/{id} ! 502
  orders internal read_order
    orders client SELECT orders
  orders internal read_user ! fixture::orders::OrderError::UnexpectedResponse
    orders client GET /users/{id} ! 500
      users server GET /users/{id} ! 500
        users internal read_user ! fixture::users::UserError::BuiltInFault
          users client SELECT users
";

async fn server_error(stack: &TestStack) -> Result<()> {
    let response = stack.get_order(&Caller::new(), "999").await?;
    ensure!(response.status == 502, "{response:?}");
    let trace = stack.wait_for_trace(&response.trace, FAILED).await?;

    // The exception is recorded once, in the span where it occurred, and not in its parent spans.
    let exceptions: Vec<_> = trace
        .spans_of("users")
        .flat_map(|span| span.events.iter().map(move |event| (span.name.as_str(), event)))
        .collect();
    let [(span, event)] = exceptions.as_slice() else { anyhow::bail!("expected one event: {exceptions:?}") };
    ensure!((*span, event.name.as_str()) == ("read_user", "exception"), "{span}: {event:?}");
    let text = |key: &str| {
        let found = event.attributes.iter().find(|(name, _)| name == key);
        found.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    };
    ensure!(text("exception.type") == "fixture::users::UserError::BuiltInFault", "{event:?}");
    ensure!(text("exception.message") == "user 999 is broken on purpose", "{event:?}");

    let root = find(&trace, "orders server GET /orders/{id}").context("the first span is missing")?;
    ensure!(root.attribute("http.response.status_code").and_then(Value::as_int) == Some(502), "{root:?}");

    // The response contains the trace ID, which the caller can send to support, but no internal details.
    let body: Json = serde_json::from_str(&response.body)?;
    ensure!(body["trace_id"] == response.trace.as_str(), "{body}");
    ensure!(!response.body.contains("on purpose"), "{body}");

    // Each service that failed logs one error with the trace ID.
    for process in [ORDERS, USERS] {
        let records = stack.console_logs(process)?;
        let is_error = |record: &&LogRecord| record.trace_id == trace.id && record.severity == "ERROR";
        let errors = records.iter().filter(is_error).count();
        ensure!(errors == 1, "{process} logged {errors} errors");
    }
    Ok(())
}

async fn client_errors(stack: &TestStack) -> Result<()> {
    let unknown = "\
^ orders server GET /orders/{id}
  orders internal read_order
    orders client SELECT orders
";
    for (path, status, shape) in [
        ("orders/4242", 404, unknown),
        ("orders/abc", 400, "^ orders server GET /orders/{id}\n"),
        ("orders/-1", 400, "^ orders server GET /orders/{id}\n"),
        ("elsewhere", 404, "^ orders server GET\n"),
    ] {
        let response = Caller::new().get(stack.http(), &stack.orders_url()?, path).await?;
        ensure!(response.status == status, "{path}: {response:?}");
        // The line of a failed span would contain `!`.
        let trace = stack.wait_for_trace(&response.trace, shape).await?;
        let body: Json = serde_json::from_str(&response.body)?;
        ensure!(body["trace_id"] == response.trace.as_str() && body["status"] == status, "{path}: {body}");
        for span in &trace.spans {
            ensure!(span.status == Status::Unset && span.events.is_empty(), "{path}: {span:?}");
            ensure!(span.attribute("error.type").is_none(), "{path}: {span:?}");
        }
    }
    Ok(())
}
