use std::convert::Infallible;
use std::io;

use http::Response;
use http_body_util::{BodyExt as _, Empty};
use opentelemetry::trace::FutureExt as _;
use tower::{BoxError, Layer as _, ServiceExt as _};

use super::*;
use crate::testing::{Recorder, ScriptedBody, attributes_and_failed, cancel, expected, never_completes};

type Body = Empty<bytes::Bytes>;

fn request(method: &str, uri: &str) -> Request<Body> {
    Request::builder().method(method).uri(uri).body(Body::new()).unwrap()
}

#[tokio::test]
async fn records_the_attributes_of_request_and_response() {
    let always = [
        ("network.protocol.version", "1.1"),
        ("server.address", "users"),
        ("server.port", "8080"),
        ("url.full", "http://REDACTED:REDACTED@users:8080/users/7?sig=REDACTED"),
    ];
    for (method, template, status, name, rest) in [
        (
            "GET",
            Some("/users/{id}"),
            200,
            "GET /users/{id}",
            vec![
                ("http.request.method", "GET"),
                ("http.response.status_code", "200"),
                ("url.template", "/users/{id}"),
            ],
        ),
        (
            "GET",
            None,
            404,
            "GET",
            vec![("error.type", "404"), ("http.request.method", "GET"), ("http.response.status_code", "404")],
        ),
        (
            "BREW",
            None,
            500,
            "HTTP",
            vec![
                ("error.type", "500"),
                ("http.request.method", "_OTHER"),
                ("http.request.method_original", "BREW"),
                ("http.response.status_code", "500"),
            ],
        ),
    ] {
        let recorder = Recorder::new();
        let service =
            ClientLayer::of(recorder.scope()).layer(tower::service_fn(move |_: Request<Body>| async move {
                Ok::<_, Infallible>(Response::builder().status(status).body(Body::new()).unwrap())
            }));
        let mut request = request(method, "http://ada:secret@users:8080/users/7?sig=secret");
        if let Some(template) = template {
            request.extensions_mut().insert(UrlTemplate(template));
        }
        service.oneshot(request).await.unwrap();

        let span = recorder.span();
        assert_eq!(span.name, name);
        assert_eq!(span.span_kind, SpanKind::Client);
        let mut all = expected(always);
        all.extend(rest.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        let failed = all.contains_key("error.type");
        assert_eq!(attributes_and_failed(&span), (all.clone(), failed));

        for not_measured in ["url.full", "http.request.method_original"] {
            all.remove(not_measured);
        }
        assert_eq!(recorder.histogram_counts(HTTP_CLIENT_REQUEST_DURATION), [(all, 1)]);
    }
}

#[tokio::test]
async fn records_the_kind_of_a_failure() {
    for (failure, kind) in [
        (Some(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)) as BoxError), "connection_reset"),
        (Some(Box::new(tower::timeout::error::Elapsed::new())), "timeout"),
        (Some("unknown".into()), "_OTHER"),
        (None, "cancelled"),
    ] {
        let recorder = Recorder::new();
        let mut outcome = Some(failure);
        let service = ClientLayer::of(recorder.scope()).layer(tower::service_fn(move |_: Request<Body>| {
            let outcome = outcome.take().unwrap();
            async move {
                match outcome {
                    Some(error) => Err::<Response<Body>, BoxError>(error),
                    None => never_completes().await,
                }
            }
        }));
        let response = service.oneshot(request("GET", "http://users/"));
        if kind == "cancelled" {
            cancel(response).await;
        } else {
            response.await.unwrap_err();
        }
        let (attributes, failed) = attributes_and_failed(&recorder.span());
        assert_eq!((attributes["error.type"].as_str(), failed), (kind, true));
        assert_eq!(recorder.histogram_counts(HTTP_CLIENT_REQUEST_DURATION)[0].0["error.type"], kind);
    }
}

#[tokio::test]
async fn dropping_the_body_is_not_an_error() {
    let recorder = Recorder::new();
    let service = ClientLayer::of(recorder.scope()).layer(tower::service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(ScriptedBody::data(&["a"]).then_hangs()))
    }));
    let mut body = service.oneshot(request("GET", "http://users/")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert!(recorder.spans().is_empty());
    drop(body);
    let (attributes, failed) = attributes_and_failed(&recorder.span());
    assert_eq!((attributes.get("error.type"), failed), (None, false));
}

#[tokio::test]
async fn does_not_trace_the_requests_of_an_exporter() {
    let recorder = Recorder::new();
    let service =
        ClientLayer::of(recorder.scope()).layer(tower::service_fn(|request: Request<Body>| async move {
            assert!(request.headers().is_empty());
            Ok::<_, Infallible>(Response::new(Body::new()))
        }));
    let suppressed = Context::new().with_telemetry_suppressed();
    service.oneshot(request("GET", "http://collector/")).with_context(suppressed).await.unwrap();
    assert!(recorder.spans().is_empty());
    assert!(recorder.histogram_counts(HTTP_CLIENT_REQUEST_DURATION).is_empty());
}

#[tokio::test]
async fn the_setting_replaces_the_known_methods() {
    use crate::settings::{MapEnv, Settings};

    let env = MapEnv::from_iter([("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "PURGE")]);
    for (method, known, name) in [("PURGE", "PURGE", "PURGE"), ("GET", "_OTHER", "HTTP")] {
        let recorder = Recorder::new();
        let scope = Scope { settings: Settings::read(&env).unwrap().instrumentation, ..recorder.scope() };
        let service = ClientLayer::of(scope).layer(tower::service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::new()))
        }));
        service.oneshot(request(method, "http://users/")).await.unwrap();
        let span = recorder.span();
        assert_eq!(span.name, name);
        assert_eq!(attributes_and_failed(&span).0["http.request.method"], known);
        let series = &recorder.histogram_counts(HTTP_CLIENT_REQUEST_DURATION)[0].0;
        assert_eq!(series["http.request.method"], known);
    }
}
