//! Tests of the responses of the service, and of the spans that it records.
#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper should fail the test")]

use std::future::pending;
use std::net::SocketAddr;

use opentelemetry::trace::SpanKind;
use service_common::settings::service_url;
use service_common::testing::{Spans, Trace, unused_address};
use template_grpc::proto::{ReadRequest, template_grpc_client};
use template_grpc::{DetailsClient, serve_on};
use tokio::net::TcpListener;
use tonic::{Code, Request, Status};

/// Starts the service, and returns its address. The service reads details from `details`, by default from itself.
async fn start(details: Option<SocketAddr>) -> (Spans, SocketAddr) {
    let spans = Spans::record(telemetry::service!());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = service_url(details.unwrap_or(address)).parse().unwrap();
    tokio::spawn(serve_on(listener, DetailsClient::new(&url).unwrap(), pending()));
    (spans, address)
}

/// Calls the service in the trace with this ID.
async fn read(address: SocketAddr, id: i64, trace_id: &str) -> Result<String, Status> {
    let mut client = template_grpc_client::TemplateGrpcClient::connect(service_url(address)).await.unwrap();
    let mut request = Request::new(ReadRequest { id });
    let traceparent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    Ok(client.read(request).await?.into_inner().details)
}

#[tokio::test]
async fn the_call_is_in_the_trace_of_its_caller() {
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4701";
    let (spans, address) = start(None).await;
    assert_eq!(read(address, 7, trace_id).await.unwrap(), "Details of item 7");
    let trace = spans.trace(trace_id, 4).await;
    let expected = [
        "server template_grpc.v1.TemplateGrpc/Read",
        "  internal read_details",
        "    client template_grpc.v1.TemplateGrpc/ReadDetails",
        "      server template_grpc.v1.TemplateGrpc/ReadDetails",
    ];
    assert_eq!(trace.outline(), expected.join("\n"));
    let attributes = Trace::attributes(trace.span(&SpanKind::Internal, "read_details"));
    assert_eq!(attributes.get("item.id").map(String::as_str), Some("7"));
}

#[tokio::test]
async fn an_unknown_item_is_not_a_failure_of_the_service() {
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4702";
    let (spans, address) = start(None).await;
    assert_eq!(read(address, 101, trace_id).await.unwrap_err().code(), Code::NotFound);
    let expected = [
        "server template_grpc.v1.TemplateGrpc/Read",
        "  internal read_details",
        "    client template_grpc.v1.TemplateGrpc/ReadDetails ! NOT_FOUND",
        "      server template_grpc.v1.TemplateGrpc/ReadDetails",
    ];
    assert_eq!(spans.trace(trace_id, 4).await.outline(), expected.join("\n"));
}

#[tokio::test]
async fn a_failed_call_is_an_error_on_each_span() {
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4703";
    let (spans, address) = start(Some(unused_address().await)).await;
    assert_eq!(read(address, 7, trace_id).await.unwrap_err().code(), Code::Unavailable);
    let trace = spans.trace(trace_id, 3).await;
    let expected = [
        "server template_grpc.v1.TemplateGrpc/Read ! UNAVAILABLE",
        "  internal read_details ! tonic::status::Status",
        "    client template_grpc.v1.TemplateGrpc/ReadDetails ! connect",
    ];
    assert_eq!(trace.outline(), expected.join("\n"));
    let events = &trace.span(&SpanKind::Internal, "read_details").events;
    assert_eq!(events.iter().map(|event| event.name.as_ref()).collect::<Vec<_>>(), ["exception"]);
}
