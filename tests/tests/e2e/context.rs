//! What comes with a request: a foreign caller's trace, its state, its baggage, and whatever else is in those headers.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::{Span, Value};
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, ORDER, USER};
use sightline_tests::outline::find;
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("context::baggage_becomes_attributes_on_the_far_side", baggage);
    suite.shared("context::a_foreign_trace_is_continued_with_its_state", continued);
    suite.shared("context::a_caller_who_does_not_sample_is_served_and_not_recorded", unsampled);
    suite.shared("context::what_cannot_be_read_is_ignored", unreadable);
    suite.shared("context::lists_that_are_too_long_are_ignored", too_long);
}

async fn baggage(lab: &Lab) -> Result<()> {
    // The service's own word counts, and what nobody asked for becomes no attribute.
    let caller = Caller::new().with("baggage", "environment=forged,version=9.9,tenant=blue");
    let answer = lab.order(&caller, "5").await?;
    let trace = lab.trace(&answer.trace, ORDER).await?;
    for service in ["user-service", "inventory-service"] {
        for span in trace.of_service(service) {
            let said = |key| span.attribute(key).and_then(Value::as_str);
            ensure!(
                said("environment") == Some("development"),
                "{service} {}: {:?}",
                span.name,
                span.attributes
            );
            ensure!(
                said("version") == Some(env!("CARGO_PKG_VERSION")),
                "{service} {}: {:?}",
                span.name,
                span.attributes
            );
            ensure!(said("tenant").is_none(), "{service} {}: {:?}", span.name, span.attributes);
        }
    }
    Ok(())
}

async fn continued(lab: &Lab) -> Result<()> {
    let state = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";
    let caller = Caller::new().with("tracestate", state);
    let answer = lab.order(&caller, "6").await?;
    let trace = lab.trace(&answer.trace, ORDER).await?;
    let first = find(&trace, "order-service server GET /orders/{id}").context("no first span")?;
    ensure!(
        first.parent_span_id.as_deref() == Some(caller.span_id()),
        "its parent is {:?}",
        first.parent_span_id
    );
    let states = lab.trace_states(&answer.trace).await?;
    ensure!(
        states.len() == trace.spans.len(),
        "{} of {} spans have a state",
        states.len(),
        trace.spans.len()
    );
    ensure!(states.iter().all(|found| found == state), "states are {states:?}");
    Ok(())
}

async fn unsampled(lab: &Lab) -> Result<()> {
    let caller = Caller::unsampled();
    let answer = lab.order(&caller, "8").await?;
    ensure!(answer.status == 200, "{answer:?}");
    lab.settle().await?;
    lab.is_absent(&answer.trace).await?;
    // Its log lines can be found all the same.
    let logged = lab.console(Process::UserService)?;
    ensure!(
        logged.iter().any(|log| log.trace_id == caller.trace_id()),
        "user-service logged nothing of {caller:?}"
    );
    Ok(())
}

/// Parents that are none, each with what is wrong with it. `TRACE` and `SPAN` stand for ids.
const UNREADABLE: [(&str, &[&str]); 13] = [
    ("empty", &[""]),
    ("a word", &["none"]),
    ("a trace id of zeros", &["00-00000000000000000000000000000000-SPAN-01"]),
    ("a span id of zeros", &["00-TRACE-0000000000000000-01"]),
    ("the version that is forbidden", &["ff-TRACE-SPAN-01"]),
    ("a short trace id", &["00-abc-SPAN-01"]),
    ("no flags", &["00-TRACE-SPAN"]),
    ("flags that are no number", &["00-TRACE-SPAN-zz"]),
    ("more than version 00 has", &["00-TRACE-SPAN-01-more"]),
    ("letters that are no digits", &["00-gggggggggggggggggggggggggggggggg-SPAN-01"]),
    ("capital letters", &["00-ABCDEFABCDEFABCDEFABCDEFABCDEFAB-SPAN-01"]),
    ("letters that are not ASCII", &["00-TRACE-SPAN-0é"]),
    ("two parents", &["00-TRACE-SPAN-01", "00-TRACE-SPAN-00"]),
];

async fn unreadable(lab: &Lab) -> Result<()> {
    let long = "0".repeat(10_000);
    let long = [long.as_str()];
    let cases = UNREADABLE.into_iter().chain([("ten thousand zeros", &long[..])]);
    let mut sent = BTreeMap::new();
    for (what, parents) in cases {
        let mut caller = Caller::silent();
        let agent = format!("tests/{}", caller.trace_id());
        let (trace_id, span_id) = (caller.trace_id().to_owned(), caller.span_id().to_owned());
        for parent in parents {
            caller =
                caller.with("traceparent", &parent.replace("TRACE", &trace_id).replace("SPAN", &span_id));
        }
        let caller =
            caller.with("user-agent", &agent).with("tracestate", "a=1").with("baggage", ";;=,%zz,=x,\"");
        let answer = lab.order(&caller, "9").await?;
        ensure!(answer.status == 200, "{what}: {answer:?}");
        sent.insert(agent, (what, trace_id));
    }
    let look = async || {
        let traces = lab.traces_of(Process::OrderService).await?;
        let spans: Vec<&Span> = traces.iter().flat_map(|trace| &trace.spans).collect();
        let mut wrong = Vec::new();
        for (agent, (what, trace_id)) in &sent {
            let is_its =
                |span: &&&Span| span.attribute("user_agent.original").and_then(Value::as_str) == Some(agent);
            match spans.iter().find(is_its) {
                Some(span) if span.parent_span_id.is_none() && span.trace_id != *trace_id => {}
                Some(span) => {
                    wrong.push(format!("{what}: trace {} parent {:?}", span.trace_id, span.parent_span_id));
                }
                None => wrong.push(format!("{what}: nothing is stored")),
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("; "));
        Ok(())
    };
    lab.eventually("a request with an unreadable parent begins a trace", look).await
}

async fn too_long(lab: &Lab) -> Result<()> {
    // Each member of these is as it should be; only there are too many, or of too many bytes.
    let member = |number: usize, length: usize| format!("k{number}={}", "v".repeat(length));
    let list = |members: usize, length| {
        (0..members).map(|number| member(number, length)).collect::<Vec<_>>().join(",")
    };
    for (members, length, is_kept) in [(32, 1, true), (33, 1, false), (32, 200, true), (32, 256, false)] {
        let state = list(members, length);
        let answer = lab.order(&Caller::new().with("tracestate", &state), "2").await?;
        ensure!(answer.status == 200, "{members} members of {length}: {answer:?}");
        let trace = lab.trace(&answer.trace, ORDER).await?;
        let states = lab.trace_states(&answer.trace).await?;
        let expected = if is_kept { trace.spans.len() } else { 0 };
        ensure!(
            states.len() == expected,
            "{members} members of {length}: {} spans have a state",
            states.len()
        );
    }
    for (length, expected) in [(1, Some("lab")), (9_000, None)] {
        let baggage = format!("environment=lab,{}", member(0, length));
        let answer = lab.user(&Caller::new().with("baggage", &baggage), "2").await?;
        ensure!(answer.status == 200, "{length} bytes of baggage: {answer:?}");
        for span in lab.trace(&answer.trace, USER).await?.spans {
            let said = span.attribute("environment").and_then(Value::as_str);
            ensure!(
                said == expected,
                "{length} bytes of baggage: {} has the environment {said:?}",
                span.name
            );
        }
    }
    Ok(())
}
