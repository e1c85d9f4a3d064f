//! The context headers of a request, valid and invalid: `traceparent`, `tracestate` and `baggage`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::{Span, Value};
use sightline_tests::caller::Caller;
use sightline_tests::outline::find;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, ORDERS, TestStack, USER, USERS};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("context::baggage_becomes_span_attributes_downstream", baggage);
    suite.add_shared("context::continues_a_trace_with_its_state", continued);
    suite.add_shared("context::does_not_record_an_unsampled_request", unsampled);
    suite.add_shared("context::ignores_invalid_headers", invalid);
    suite.add_shared("context::ignores_oversized_lists", too_long);
}

async fn baggage(stack: &TestStack) -> Result<()> {
    // orders replaces the caller's values of `environment` and `version` with its own values. The baggage key
    // `tenant` does not become an attribute.
    let caller = Caller::new().with_header("baggage", "environment=forged,version=9.9,tenant=blue");
    let response = stack.get_order(&caller, "5").await?;
    let trace = stack.wait_for_trace(&response.trace, ORDER).await?;
    for service in ["users", "stock"] {
        for span in trace.spans_of(service) {
            let text = |key| span.attribute(key).and_then(Value::as_str);
            ensure!(
                text("environment") == Some("development"),
                "{service} {}: {:?}",
                span.name,
                span.attributes
            );
            ensure!(
                text("version") == Some(env!("CARGO_PKG_VERSION")),
                "{service} {}: {:?}",
                span.name,
                span.attributes
            );
            ensure!(text("tenant").is_none(), "{service} {}: {:?}", span.name, span.attributes);
        }
    }
    Ok(())
}

async fn continued(stack: &TestStack) -> Result<()> {
    let state = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";
    let caller = Caller::new().with_header("tracestate", state);
    let response = stack.get_order(&caller, "6").await?;
    let trace = stack.wait_for_trace(&response.trace, ORDER).await?;
    let root = find(&trace, "orders server GET /orders/{id}").context("the first span is missing")?;
    ensure!(
        root.parent_span_id.as_deref() == Some(caller.span_id()),
        "the parent of the first span is {:?}",
        root.parent_span_id
    );
    let states = stack.trace_states(&response.trace).await?;
    ensure!(
        states.len() == trace.spans.len(),
        "{} of {} spans have a tracestate",
        states.len(),
        trace.spans.len()
    );
    ensure!(states.iter().all(|found| found == state), "unexpected tracestate: {states:?}");
    Ok(())
}

async fn unsampled(stack: &TestStack) -> Result<()> {
    let caller = Caller::unsampled();
    let response = stack.get_order(&caller, "8").await?;
    ensure!(response.status == 200, "{response:?}");
    stack.wait_for_pipeline().await?;
    stack.ensure_not_stored(&response.trace).await?;
    // The request's log records have the trace ID even though no span is recorded.
    let records = stack.console_logs(USERS)?;
    ensure!(
        records.iter().any(|record| record.trace_id == caller.trace_id()),
        "users logged nothing in the trace of {caller:?}"
    );
    Ok(())
}

/// Invalid `traceparent` headers, each with a description. `TRACE` and `SPAN` are placeholders for IDs.
const INVALID: [(&str, &[&str]); 13] = [
    ("empty", &[""]),
    ("a word", &["none"]),
    ("a trace ID of zeros", &["00-00000000000000000000000000000000-SPAN-01"]),
    ("a span ID of zeros", &["00-TRACE-0000000000000000-01"]),
    ("the forbidden version", &["ff-TRACE-SPAN-01"]),
    ("a short trace ID", &["00-abc-SPAN-01"]),
    ("no flags", &["00-TRACE-SPAN"]),
    ("flags that are not hex digits", &["00-TRACE-SPAN-zz"]),
    ("more fields than version 00 has", &["00-TRACE-SPAN-01-more"]),
    ("letters that are not hex digits", &["00-gggggggggggggggggggggggggggggggg-SPAN-01"]),
    ("capital letters", &["00-ABCDEFABCDEFABCDEFABCDEFABCDEFAB-SPAN-01"]),
    ("characters that are not ASCII", &["00-TRACE-SPAN-0é"]),
    ("two headers", &["00-TRACE-SPAN-01", "00-TRACE-SPAN-00"]),
];

async fn invalid(stack: &TestStack) -> Result<()> {
    let zeros = "0".repeat(10_000);
    let zeros = [zeros.as_str()];
    let cases = INVALID.into_iter().chain([("ten thousand zeros", &zeros[..])]);
    let mut sent = BTreeMap::new();
    for (description, parents) in cases {
        let mut caller = Caller::without_context();
        let agent = format!("tests/{}", caller.trace_id());
        let (trace_id, span_id) = (caller.trace_id().to_owned(), caller.span_id().to_owned());
        for parent in parents {
            caller = caller
                .with_header("traceparent", &parent.replace("TRACE", &trace_id).replace("SPAN", &span_id));
        }
        let caller = caller
            .with_header("user-agent", &agent)
            .with_header("tracestate", "a=1")
            .with_header("baggage", ";;=,%zz,=x,\"");
        let response = stack.get_order(&caller, "9").await?;
        ensure!(response.status == 200, "{description}: {response:?}");
        sent.insert(agent, (description, trace_id));
    }
    let check = async || {
        let traces = stack.traces_of(ORDERS).await?;
        let spans: Vec<&Span> = traces.iter().flat_map(|trace| &trace.spans).collect();
        let mut wrong = Vec::new();
        for (agent, (description, trace_id)) in &sent {
            let is_of_request =
                |span: &&&Span| span.attribute("user_agent.original").and_then(Value::as_str) == Some(agent);
            match spans.iter().find(is_of_request) {
                Some(span) if span.parent_span_id.is_none() && span.trace_id != *trace_id => {}
                Some(span) => {
                    wrong.push(format!(
                        "{description}: trace {} parent {:?}",
                        span.trace_id, span.parent_span_id
                    ));
                }
                None => wrong.push(format!("{description}: no span is stored")),
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("; "));
        Ok(())
    };
    stack.eventually("a request with an invalid parent starts a new trace", check).await
}

async fn too_long(stack: &TestStack) -> Result<()> {
    // Each member of these `tracestate` lists is valid, but some lists have too many members or too many bytes.
    let member = |number: usize, length: usize| format!("k{number}={}", "v".repeat(length));
    let list = |members: usize, length| {
        (0..members).map(|number| member(number, length)).collect::<Vec<_>>().join(",")
    };
    for (members, length, is_kept) in [(32, 1, true), (33, 1, false), (32, 200, true), (32, 256, false)] {
        let state = list(members, length);
        let response = stack.get_order(&Caller::new().with_header("tracestate", &state), "2").await?;
        ensure!(response.status == 200, "{members} members of {length}: {response:?}");
        let trace = stack.wait_for_trace(&response.trace, ORDER).await?;
        let states = stack.trace_states(&response.trace).await?;
        let expected = if is_kept { trace.spans.len() } else { 0 };
        ensure!(
            states.len() == expected,
            "{members} members of {length}: {} spans have a tracestate",
            states.len()
        );
    }
    // A `baggage` header with too many bytes is ignored.
    for (length, expected) in [(1, Some("lab")), (9_000, None)] {
        let baggage = format!("environment=lab,{}", member(0, length));
        let response = stack.get_user(&Caller::new().with_header("baggage", &baggage), "2").await?;
        ensure!(response.status == 200, "{length} bytes of baggage: {response:?}");
        for span in stack.wait_for_trace(&response.trace, USER).await?.spans {
            let environment = span.attribute("environment").and_then(Value::as_str);
            ensure!(
                environment == expected,
                "{length} bytes of baggage: {} has the environment {environment:?}",
                span.name
            );
        }
    }
    Ok(())
}
