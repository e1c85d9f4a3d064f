//! Tests of the spans that the worker records.
#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper should fail the test")]

use axum::Router;
use axum::routing::get;
use opentelemetry::trace::SpanKind;
use service_common::settings::service_url;
use service_common::testing::{Spans, Trace, spawn, unused_address};
use template_worker::{Handler, Job, Queue, consume};

/// Sends a job through a queue to a handler with this upstream, and returns the trace of the job.
async fn handle(job: Job, upstream: Option<String>, count: usize) -> Trace {
    let spans = Spans::record(telemetry::service!());
    let handler = Handler::new(upstream.map(|url| url.parse().unwrap())).unwrap();
    let (queue, messages) = Queue::new();
    queue.send(job).await;
    drop(queue);
    consume(messages, &handler).await;
    let id = job.id.to_string();
    spans.trace_with(count, |span| Trace::attributes(span).get("messaging.message.id") == Some(&id)).await
}

#[tokio::test]
async fn a_message_is_processed_in_the_trace_of_its_sender() {
    let trace = handle(Job { id: 1, quantity: 1 }, None, 3).await;
    let expected = ["producer send jobs", "  consumer process jobs", "    internal handle_job"];
    assert_eq!(trace.outline(), expected.join("\n"));

    let sent = trace.span(&SpanKind::Producer, "send jobs");
    let processed = trace.span(&SpanKind::Consumer, "process jobs");
    let links: Vec<_> = processed.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(links, [sent.span_context.span_id()]);
    for (span, operation) in [(sent, "send"), (processed, "process")] {
        let attributes = Trace::attributes(span);
        for (name, value) in [
            ("messaging.system", "tokio"),
            ("messaging.operation.type", operation),
            ("messaging.operation.name", operation),
            ("messaging.destination.name", "jobs"),
            ("messaging.message.id", "1"),
        ] {
            assert_eq!(attributes.get(name).map(String::as_str), Some(value), "{operation}: {name}");
        }
    }
}

#[tokio::test]
async fn a_failed_job_is_an_error_on_its_consumer_span() {
    let trace = handle(Job { id: 2, quantity: 0 }, None, 3).await;
    let expected = [
        "producer send jobs",
        "  consumer process jobs ! template_worker::handler::JobError::InvalidQuantity",
        "    internal handle_job",
    ];
    assert_eq!(trace.outline(), expected.join("\n"));
}

#[tokio::test]
async fn a_call_is_in_the_trace_of_its_message() {
    // A layer uses the telemetry that runs when the layer is created.
    Spans::record(telemetry::service!());
    let upstream = Router::new().route("/", get(|| async {})).layer(telemetry::http::server_layer());
    let trace = handle(Job { id: 3, quantity: 1 }, Some(service_url(spawn(upstream).await)), 5).await;
    let expected = [
        "producer send jobs",
        "  consumer process jobs",
        "    internal handle_job",
        "      client GET",
        "        server GET /",
    ];
    assert_eq!(trace.outline(), expected.join("\n"));
}

#[tokio::test]
async fn a_failed_call_is_an_error_of_its_job() {
    let upstream = service_url(unused_address().await);
    let trace = handle(Job { id: 4, quantity: 1 }, Some(upstream), 4).await;
    let expected = [
        "producer send jobs",
        "  consumer process jobs ! template_worker::handler::JobError::Call",
        "    internal handle_job",
        "      client GET ! connect",
    ];
    assert_eq!(trace.outline(), expected.join("\n"));
}
