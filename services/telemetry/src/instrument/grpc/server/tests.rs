use std::convert::Infallible;
use std::io::ErrorKind;

use http::Response;
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _};

use super::*;
use crate::testing::{
    Attributes, PARENT, Recorder, ScriptedBody, attributes_and_failed, cancel, never_completes,
};

/// Calls `Echo/Say` on a service that responds with `response`, and reads the whole body. Returns the span's
/// attributes, and whether the call failed.
async fn call(response: Response<ScriptedBody>) -> (Attributes, bool) {
    let recorder = Recorder::new();
    let mut response = Some(response);
    let service = ServerLayer::of(recorder.scope()).layer(tower::service_fn(move |_: Request<()>| {
        let response = response.take().unwrap();
        async { Ok::<_, Infallible>(response) }
    }));
    let response = service.oneshot(Request::post("/Echo/Say").body(()).unwrap()).await.unwrap();
    let _ = response.into_body().collect().await;
    let (attributes, failed) = attributes_and_failed(&recorder.span());
    let series = recorder.histogram_counts(RPC_SERVER_CALL_DURATION).remove(0).0;
    for name in ["rpc.method", "rpc.response.status_code", "error.type"] {
        assert_eq!(
            series.get(name),
            attributes.get(name),
            "the attribute {name} differs between the span and the metric"
        );
    }
    (attributes, failed)
}

#[tokio::test]
async fn only_server_errors_mark_the_span_as_failed() {
    for (code, name, failed) in [
        ("0", "OK", false),
        ("1", "CANCELLED", false),
        ("2", "UNKNOWN", true),
        ("3", "INVALID_ARGUMENT", false),
        ("4", "DEADLINE_EXCEEDED", true),
        ("5", "NOT_FOUND", false),
        ("7", "PERMISSION_DENIED", false),
        ("8", "RESOURCE_EXHAUSTED", false),
        ("12", "UNIMPLEMENTED", true),
        ("13", "INTERNAL", true),
        ("14", "UNAVAILABLE", true),
        ("15", "DATA_LOSS", true),
        ("16", "UNAUTHENTICATED", false),
        ("99", "UNKNOWN", true),
    ] {
        let in_trailers = Response::new(ScriptedBody::data(&["message"]).then_trailer("grpc-status", code));
        let in_headers = Response::builder()
            .header("grpc-status", code)
            .header("grpc-message", "why")
            .body(ScriptedBody::data(&[]))
            .unwrap();
        for response in [in_trailers, in_headers] {
            let (attributes, span_failed) = call(response).await;
            assert_eq!((attributes["rpc.response.status_code"].as_str(), span_failed), (name, failed));
            assert_eq!(attributes.get("error.type").map(String::as_str), failed.then_some(name));
            assert_eq!(attributes["rpc.method"], "Echo/Say");
        }
    }
}

#[tokio::test]
async fn a_failing_body_is_an_error() {
    let (attributes, failed) =
        call(Response::new(ScriptedBody::data(&["message"]).then_fails(ErrorKind::BrokenPipe))).await;
    assert_eq!(attributes["rpc.response.status_code"], "UNKNOWN");
    assert_eq!((attributes["error.type"].as_str(), failed), ("broken_pipe", true));
}

#[tokio::test]
async fn an_expired_deadline_is_an_error_but_a_cancelled_call_is_not() {
    for (timeout, code, failed) in [
        (None, "CANCELLED", false),
        (Some("1H"), "CANCELLED", false),
        (Some("0n"), "DEADLINE_EXCEEDED", true),
    ] {
        let recorder = Recorder::new();
        let service = ServerLayer::of(recorder.scope()).layer(tower::service_fn(|_: Request<()>| {
            never_completes::<Result<Response<ScriptedBody>, Infallible>>()
        }));
        let mut request = Request::post("/Echo/Say").header("traceparent", PARENT);
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        cancel(service.oneshot(request.body(()).unwrap())).await;
        let span = recorder.span();
        assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
        let (attributes, span_failed) = attributes_and_failed(&span);
        assert_eq!((attributes["rpc.response.status_code"].as_str(), span_failed), (code, failed));
        assert_eq!(recorder.histogram_counts(RPC_SERVER_CALL_DURATION)[0].1, 1);
    }
}

/// Calls `Echo/Say` on a service in `layer`. The request has metadata and comes from the proxy 10.0.0.1. The response
/// has metadata in its headers and trailers.
async fn call_with_options(layer: ServerLayer) {
    let service = layer.layer(tower::service_fn(|_: Request<()>| async {
        let body = ScriptedBody::data(&["message"]).then_trailer("x-cost", "3");
        Ok::<_, Infallible>(Response::builder().header("x-shard", "7").body(body).unwrap())
    }));
    let peer: SocketAddr = "10.0.0.1:4711".parse().unwrap();
    let request = Request::post("/Echo/Say")
        .header("traceparent", PARENT)
        .header("x-tenant", "a")
        .header("x-tenant", "b")
        .header("authorization", "Bearer secret")
        .header("forwarded", "for=6.6.6.6, for=192.0.2.7;host=shop")
        .extension(axum::extract::ConnectInfo(peer));
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    response.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn the_options_add_attributes_to_spans_and_metrics() {
    let recorder = Recorder::new();
    let names =
        |names: &[&'static str]| names.iter().copied().map(http::HeaderName::from_static).collect::<Vec<_>>();
    let layer = ServerLayer::of(recorder.scope())
        .filter(|call| call.uri().path() != "/Echo/Ignored")
        .request_attributes(|call| {
            [KeyValue::new("shop.path", call.uri().path().to_owned()), KeyValue::new(RPC_METHOD, "x")]
        })
        .response_attributes(|response| [KeyValue::new("shop.status", i64::from(response.status.as_u16()))])
        .request_metric_attributes(|_| [KeyValue::new("shop.api", "v1")])
        .response_metric_attributes(|_| {
            [KeyValue::new("shop.shard", "7"), KeyValue::new(RPC_SYSTEM_NAME, "x")]
        })
        .capture_request_headers(names(&["x-tenant", "authorization"]))
        .capture_response_headers(names(&["x-shard", "x-cost"]))
        .trusted_proxies(["10.0.0.0/8".parse().unwrap()]);
    call_with_options(layer).await;

    let (attributes, _) = attributes_and_failed(&recorder.span());
    for (name, value) in [
        ("client.address", "192.0.2.7"),
        ("network.peer.address", "10.0.0.1"),
        ("server.address", "shop"),
        ("rpc.method", "Echo/Say"),
        ("rpc.request.metadata.x-tenant", r#"["a","b"]"#),
        ("rpc.request.metadata.authorization", r#"["REDACTED"]"#),
        ("rpc.response.metadata.x-shard", r#"["7"]"#),
        ("rpc.response.metadata.x-cost", r#"["3"]"#),
        ("shop.path", "/Echo/Say"),
        ("shop.status", "200"),
    ] {
        assert_eq!(attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    let series = &recorder.histogram_counts(RPC_SERVER_CALL_DURATION)[0].0;
    let own = ["shop.api", "shop.shard", "rpc.system.name"].map(|name| series[name].as_str());
    assert_eq!((own, series.contains_key("shop.path")), (["v1", "7", "grpc"], false));
}

#[tokio::test]
async fn a_call_that_the_filter_rejects_is_not_recorded() {
    let recorder = Recorder::new();
    let layer = ServerLayer::of(recorder.scope()).filter(|call| call.uri().path() != "/Echo/Say");
    let service = layer.layer(tower::service_fn(|_: Request<()>| async {
        let trace = crate::instrument::span::trace_id();
        assert_eq!(trace.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        Ok::<_, Infallible>(Response::new(ScriptedBody::data(&[])))
    }));
    let request = Request::post("/Echo/Say").header("traceparent", PARENT).body(()).unwrap();
    service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    assert!(recorder.spans().is_empty());
    assert!(recorder.histogram_counts(RPC_SERVER_CALL_DURATION).is_empty());
}
