use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap as Headers;
use axum::routing::get;
use http_body_util::{BodyExt as _, Empty};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::{BoxError, ServiceExt as _};

use super::*;
use crate::testing::{
    Recorder, ScriptedBody, attributes_and_failed, cancel, expected, never_completes, reqwest_client, serve,
    unused_address,
};

type Body = Empty<bytes::Bytes>;

fn request(method: &str, uri: &str) -> Request<Body> {
    Request::builder().method(method).uri(uri).body(Body::new()).unwrap()
}

#[tokio::test]
async fn spans_say_what_was_asked_and_answered() {
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
async fn a_failure_is_known_by_its_kind() {
    for (failure, kind) in [
        (Some(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)) as BoxError), "connection_reset"),
        (Some(Box::new(tower::timeout::error::Elapsed::new())), "timeout"),
        (Some("nobody knows".into()), "_OTHER"),
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
        let answer = service.oneshot(request("GET", "http://users/"));
        if kind == "cancelled" {
            cancel(answer).await;
        } else {
            answer.await.unwrap_err();
        }
        let (attributes, failed) = attributes_and_failed(&recorder.span());
        assert_eq!((attributes["error.type"].as_str(), failed), (kind, true));
        assert_eq!(recorder.histogram_counts(HTTP_CLIENT_REQUEST_DURATION)[0].0["error.type"], kind);
    }
}

#[tokio::test]
async fn reqwest_failures_are_known_by_their_kind() {
    // Announces ten bytes, sends three, and hangs up.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cut_short = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await.unwrap();
    });
    let hangs = serve(Router::new().route("/", get(never_completes::<()>))).await;

    for (address, kind) in [(unused_address(), "connect"), (hangs, "timeout"), (cut_short, "unexpected_eof")]
    {
        let recorder = Recorder::new();
        let client = Client::of(reqwest_client(), recorder.scope());
        let timeout = Duration::from_millis(if kind == "timeout" { 50 } else { 10_000 });
        let request = client.get_ref().get(format!("http://{address}/")).timeout(timeout).build().unwrap();
        match client.execute(request, None).await {
            Ok(response) => assert!(response.bytes().await.is_err()),
            Err(error) => assert!(error.is_connect() || error.is_timeout()),
        }
        let (attributes, failed) = attributes_and_failed(&recorder.span());
        assert_eq!((attributes["error.type"].as_str(), failed), (kind, true));
        assert_eq!(attributes.contains_key("http.response.status_code"), kind == "unexpected_eof");
    }
}

#[tokio::test]
async fn the_context_goes_with_the_request() {
    async fn echo(headers: Headers) -> String {
        let header = |name| headers.get(name).map_or("", |value| value.to_str().unwrap());
        format!("{} {} {}", header("traceparent"), header("baggage"), headers.contains_key("tracestate"))
    }
    let address = serve(Router::new().route("/", get(echo))).await;
    let recorder = Recorder::new();
    let client = Client::of(reqwest_client(), recorder.scope());
    let request = client.get_ref().get(format!("http://{address}/")).build().unwrap();
    let context = Context::new().with_baggage([KeyValue::new("environment", "demo")]);
    let response = client.execute(request, None).with_context(context).await.unwrap();
    assert_eq!(response.url().as_str(), format!("http://{address}/"));
    assert!(recorder.spans().is_empty(), "until its body has been read");
    let received = response.text().await.unwrap();

    let span = recorder.span();
    let sent = format!("00-{}-{}-01", span.span_context.trace_id(), span.span_context.span_id());
    assert_eq!(received, format!("{sent} environment=demo false"));
}

#[tokio::test]
async fn a_body_nobody_reads_is_no_error() {
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
async fn an_exporter_is_not_observed() {
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
