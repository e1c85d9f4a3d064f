use std::convert::Infallible;
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tonic::transport::{Endpoint, Server};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::HealthReporter;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};

use super::*;
use crate::instrument::grpc::ServerLayer;
use crate::testing::{
    Attributes, Recorder, ScriptedBody, attributes_and_failed, cancel, expected, never_completes,
    unused_address,
};
use opentelemetry_semantic_conventions::metric::RPC_SERVER_CALL_DURATION;

const CHECK: &str = "grpc.health.v1.Health/Check";

/// Starts a gRPC health service inside the server layer, on the loopback interface. Returns the endpoint of the
/// service, and the reporter that sets the status in its responses.
async fn health(recorder: &Recorder) -> (HealthReporter, Endpoint) {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("known", ServingStatus::Serving).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(listener.local_addr().unwrap());
    let server = Server::builder().layer(ServerLayer::of(recorder.scope())).add_service(service);
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(server.serve_with_incoming(incoming));
    (reporter, endpoint)
}

fn endpoint(address: std::net::SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}")).unwrap()
}

fn check_request(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

type Channel = ClientService<tonic::transport::Channel>;

fn channel(recorder: &Recorder, endpoint: &Endpoint) -> Channel {
    let layer = ClientLayer::of(recorder.scope()).target(endpoint.uri());
    ServiceBuilder::new().layer(layer).service(endpoint.connect_lazy())
}

/// Removes the attributes with port numbers, because these numbers differ in each run.
fn without_ports((mut attributes, failed): (Attributes, bool)) -> (Attributes, bool) {
    attributes.remove("server.port").expect("the server's port is recorded");
    attributes.remove("network.peer.port");
    (attributes, failed)
}

#[tokio::test]
async fn client_and_server_record_the_same_call() {
    for (service, code, failed) in [("known", "OK", false), ("unknown", "NOT_FOUND", true)] {
        let (client_side, server_side) = (Recorder::new(), Recorder::new());
        let (_reporter, endpoint) = health(&server_side).await;
        let response =
            HealthClient::new(channel(&client_side, &endpoint)).check(check_request(service)).await;
        assert_eq!(response.is_err(), failed);

        let client = client_side.span();
        assert_eq!((client.name.as_ref(), &client.span_kind), (CHECK, &SpanKind::Client));
        let mut all = expected([
            ("rpc.method", CHECK),
            ("rpc.response.status_code", code),
            ("rpc.system.name", "grpc"),
            ("server.address", "127.0.0.1"),
        ]);
        all.extend(failed.then(|| ("error.type".to_owned(), code.to_owned())));
        assert_eq!(without_ports(attributes_and_failed(&client)), (all.clone(), failed));
        let measured = client_side.histogram_counts(RPC_CLIENT_CALL_DURATION).remove(0);
        assert_eq!((without_ports((measured.0, failed)).0, measured.1), (all, 1));

        let server = server_side.wait_for_spans(1).await.remove(0);
        assert_eq!((server.name.as_ref(), &server.span_kind), (CHECK, &SpanKind::Server));
        assert_eq!(server.span_context.trace_id(), client.span_context.trace_id());
        assert_eq!(server.parent_span_id, client.span_context.span_id());
        // On the server side, NOT_FOUND is not an error.
        let all = expected([
            ("client.address", "127.0.0.1"),
            ("network.peer.address", "127.0.0.1"),
            ("rpc.method", CHECK),
            ("rpc.response.status_code", code),
            ("rpc.system.name", "grpc"),
            ("server.address", "127.0.0.1"),
        ]);
        assert_eq!(without_ports(attributes_and_failed(&server)), (all, false));
        let all = expected([
            ("rpc.method", CHECK),
            ("rpc.response.status_code", code),
            ("rpc.system.name", "grpc"),
        ]);
        assert_eq!(server_side.histogram_counts(RPC_SERVER_CALL_DURATION), [(all, 1)]);
    }
}

#[tokio::test]
async fn an_unknown_method_has_a_generic_name() {
    let server_side = Recorder::new();
    let (_reporter, endpoint) = health(&server_side).await;
    for (previous, path) in ["/grpc.health.v1.Health/Nope", "/no.Such/Method", "/no"].into_iter().enumerate()
    {
        let request = Request::post(format!("{}{}", endpoint.uri(), path.trim_start_matches('/')))
            .body(tonic::body::Body::empty())
            .unwrap();
        endpoint.connect_lazy().oneshot(request).await.unwrap();
        let span = server_side.wait_for_spans(previous + 1).await.remove(previous);
        assert_eq!(span.name, "grpc");
        let (attributes, failed) = attributes_and_failed(&span);
        assert_eq!(attributes["rpc.method"], "_OTHER");
        assert_eq!(attributes["rpc.method_original"].trim_start_matches('/'), path.trim_start_matches('/'));
        assert_eq!((attributes["error.type"].as_str(), failed), ("UNIMPLEMENTED", true));
    }
    let series = server_side.histogram_counts(RPC_SERVER_CALL_DURATION);
    assert_eq!(series.len(), 1, "unknown methods share one series: {series:?}");
}

#[tokio::test]
async fn a_call_lasts_until_the_end_of_its_stream() {
    let (client_side, server_side) = (Recorder::new(), Recorder::new());
    let (reporter, endpoint) = health(&server_side).await;
    let mut stream = HealthClient::new(channel(&client_side, &endpoint))
        .watch(check_request("known"))
        .await
        .unwrap()
        .into_inner();
    stream.message().await.unwrap().unwrap();
    reporter.set_service_status("known", ServingStatus::NotServing).await;
    stream.message().await.unwrap().unwrap();
    assert!(client_side.spans().is_empty() && server_side.spans().is_empty());
    drop(stream);

    let (attributes, failed) = attributes_and_failed(&client_side.span());
    assert_eq!((attributes["rpc.response.status_code"].as_str(), failed), ("CANCELLED", true));
    let (attributes, failed) = attributes_and_failed(&server_side.wait_for_spans(1).await[0]);
    assert_eq!((attributes["rpc.response.status_code"].as_str(), failed), ("CANCELLED", false));
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    let recorder = Recorder::new();
    let status = HealthClient::new(channel(&recorder, &endpoint(unused_address())))
        .check(check_request(""))
        .await
        .unwrap_err();
    let (attributes, failed) = attributes_and_failed(&recorder.span());
    assert_eq!(attributes["rpc.response.status_code"], code_name(status.code()));
    assert_eq!(attributes["rpc.response.status_code"], "UNAVAILABLE");
    assert_eq!((attributes["error.type"].as_str(), failed), ("connect", true));
}

#[tokio::test]
async fn records_a_channel_timeout() {
    let client_side = Recorder::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap(); // accepts connections but never responds
    let endpoint = endpoint(listener.local_addr().unwrap()).timeout(Duration::from_millis(50));
    let status =
        HealthClient::new(channel(&client_side, &endpoint)).check(check_request("")).await.unwrap_err();
    let (attributes, failed) = attributes_and_failed(&client_side.span());
    assert_eq!(attributes["rpc.response.status_code"], code_name(status.code()));
    assert_eq!((attributes["error.type"].as_str(), failed), ("timeout", true));
}

#[tokio::test]
async fn records_a_cancelled_call() {
    let recorder = Recorder::new();
    let service = ClientLayer::of(recorder.scope()).layer(tower::service_fn(|_: Request<()>| {
        never_completes::<Result<Response<ScriptedBody>, Infallible>>()
    }));
    cancel(service.oneshot(Request::post("/Echo/Say").body(()).unwrap())).await;
    let (attributes, failed) = attributes_and_failed(&recorder.span());
    assert_eq!((attributes["error.type"].as_str(), failed), ("CANCELLED", true));
    assert_eq!(recorder.histogram_counts(RPC_CLIENT_CALL_DURATION)[0].0["error.type"], "CANCELLED");
}

#[tokio::test]
async fn derives_a_missing_grpc_status_from_the_http_status() {
    for (http, code) in [(503, "UNAVAILABLE"), (404, "UNIMPLEMENTED"), (200, "UNKNOWN")] {
        let recorder = Recorder::new();
        let service =
            ClientLayer::of(recorder.scope()).layer(tower::service_fn(move |_: Request<()>| async move {
                Ok::<_, Infallible>(
                    Response::builder().status(http).body(ScriptedBody::data(&["<html>"])).unwrap(),
                )
            }));
        let response = service.oneshot(Request::post("/Echo/Say").body(()).unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(attributes_and_failed(&recorder.span()).0["rpc.response.status_code"], code);
    }
}
