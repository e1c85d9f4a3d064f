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
