//! Tests of the responses of the service, and of the spans that it records.
#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper should fail the test")]

use std::future::pending;
use std::net::SocketAddr;

use opentelemetry::trace::SpanKind;
use service_common::server::{Limits, serve};
use service_common::settings::service_url;
use service_common::testing::{Response, Spans, Trace, send, unused_address};
use template_http::{DetailsClient, app};
use tokio::net::TcpListener;

/// Serves the app, and returns its address. The app reads details from `details`, by default from itself.
async fn start(details: Option<SocketAddr>) -> (Spans, SocketAddr) {
    let spans = Spans::record(telemetry::service!());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = service_url(details.unwrap_or(address)).parse().unwrap();
    let app = app(DetailsClient::new(url).unwrap());
    tokio::spawn(serve(listener, app, Limits::default(), pending()));
    (spans, address)
}

async fn get(address: SocketAddr, path: &str) -> Response {
    send(address, &format!("GET {path}"), &[], &[]).await
}

/// Returns the trace of a request by the ID in its response.
async fn trace(spans: Spans, response: &Response, count: usize) -> Trace {
    spans.trace(response.header("traceresponse").unwrap(), count).await
}

#[tokio::test]
async fn the_call_is_in_the_trace_of_the_request() {
    let (spans, address) = start(None).await;
    let response = get(address, "/template-http/7").await;
    assert_eq!(
        (response.status, response.json()["details"]["text"].as_str()),
        (200, Some("Details of item 7"))
    );
    let trace = trace(spans, &response, 4).await;
    let expected = [
        "server GET /template-http/{id}",
        "  internal read_details",
        "    client GET /template-http/{id}/details",
        "      server GET /template-http/{id}/details",
    ];
    assert_eq!(trace.outline(), expected.join("\n"));
    let attributes = Trace::attributes(trace.span(&SpanKind::Internal, "read_details"));
    assert_eq!(attributes.get("item.id").map(String::as_str), Some("7"));
}

#[tokio::test]
async fn an_unknown_item_is_not_a_failure_of_the_service() {
    let (spans, address) = start(None).await;
    let response = get(address, "/template-http/101").await;
    response.assert_problem(404, "an unknown item");
    let expected = [
        "server GET /template-http/{id}",
        "  internal read_details",
        "    client GET /template-http/{id}/details ! 404",
        "      server GET /template-http/{id}/details",
    ];
    assert_eq!(trace(spans, &response, 4).await.outline(), expected.join("\n"));
}

#[tokio::test]
async fn a_failed_call_is_an_error_on_each_span() {
    let (spans, address) = start(Some(unused_address().await)).await;
    let response = get(address, "/template-http/7").await;
    response.assert_problem(502, "an unreachable service");
    let trace = trace(spans, &response, 3).await;
    let expected = [
        "server GET /template-http/{id} ! 502",
        "  internal read_details ! template_http::details::DetailsError::Call",
        "    client GET /template-http/{id}/details ! connect",
    ];
    assert_eq!(trace.outline(), expected.join("\n"));
    let events = &trace.span(&SpanKind::Internal, "read_details").events;
    assert_eq!(events.iter().map(|event| event.name.as_ref()).collect::<Vec<_>>(), ["exception"]);
}
