//! The options of the layer, and its settings.

use std::collections::BTreeMap;

use http::header::{self, HeaderName, HeaderValue};
use opentelemetry::TraceId;
use opentelemetry::trace::Link;
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

use super::*;
use crate::settings::{Instrumentation, MapEnv, Settings};
use crate::testing::Attributes;

fn layer(recorder: &Recorder) -> ServerLayer {
    ServerLayer::of(recorder.scope())
}

/// Sends `request` to a router in `layer` and reads the response.
async fn send(layer: ServerLayer, request: Request<Body>) -> Response<()> {
    let app = Router::new()
        .route("/health", get(|| async { trace_id().unwrap_or_default() }))
        .route("/users/{id}", get(|| async { ([("x-cache", "hit"), ("set-cookie", "secret")], "Ada") }))
        .layer(layer);
    let (head, body) = app.oneshot(request).await.unwrap().into_parts();
    body.collect().await.unwrap();
    Response::from_parts(head, ())
}

/// The series of the duration metric, of which there must be one.
fn series(recorder: &Recorder) -> Attributes {
    let mut series = recorder.histogram_counts(HTTP_SERVER_REQUEST_DURATION);
    assert_eq!(series.len(), 1, "{series:?}");
    series.remove(0).0
}

fn settings(name: &str, value: &str) -> Instrumentation {
    Settings::read(&MapEnv::from_iter([(name, value)])).unwrap().instrumentation
}

#[tokio::test]
async fn a_request_that_the_filter_rejects_is_not_recorded() {
    let recorder = Recorder::new();
    let layer = layer(&recorder).trace_response(true).filter(|request| request.uri().path() != "/health");
    let response = send(layer.clone(), get_request("/health")).await;
    assert!(!response.headers().contains_key("traceresponse"));
    assert_eq!((recorder.spans().len(), active(&recorder)), (0, vec![]));
    assert!(recorder.histogram_counts(HTTP_SERVER_REQUEST_DURATION).is_empty());

    send(layer, get_request("/users/7")).await;
    assert_eq!(recorder.span().name, "GET /users/{id}");
    assert_eq!((series(&recorder)["http.route"].as_str(), active(&recorder)), ("/users/{id}", vec![0]));
}

#[tokio::test]
async fn a_request_that_is_not_recorded_keeps_the_context_of_its_caller() {
    let recorder = Recorder::new();
    let app = Router::new()
        .route(
            "/",
            get(|| async {
                tokio::task::yield_now().await;
                trace_id().unwrap_or_default()
            }),
        )
        .layer(layer(&recorder).filter(|_| false));
    let request = Request::get("/").header("traceparent", PARENT).body(Body::empty()).unwrap();
    let body = app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(recorder.spans().is_empty());
    assert_eq!(trace_id(), None, "the context outlived the request");
}

/// Samples the spans that start with the attribute `keep`.
#[derive(Debug, Clone)]
struct KeepSampler;

impl ShouldSample for KeepSampler {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let keep = attributes.iter().any(|attribute| attribute.key.as_str() == "keep");
        SamplingResult {
            decision: if keep { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
            attributes: Vec::new(),
            trace_state: opentelemetry::trace::TraceState::default(),
        }
    }
}

#[tokio::test]
async fn a_sampler_sees_the_attributes_of_the_request() {
    let recorder = Recorder::sampling(KeepSampler);
    let layer = layer(&recorder).request_attributes(|request| {
        request.uri().query().filter(|query| query.contains("keep")).map(|_| KeyValue::new("keep", true))
    });
    send(layer.clone(), get_request("/users/7")).await;
    assert!(recorder.spans().is_empty());
    send(layer, get_request("/users/7?keep")).await;
    assert_eq!(attributes_and_failed(&recorder.span()).0["keep"], "true");
}

#[tokio::test]
async fn the_span_has_the_attributes_of_request_and_response() {
    let recorder = Recorder::new();
    let layer = layer(&recorder)
        .request_attributes(|request| {
            [
                KeyValue::new("shop.method", request.method().to_string()),
                KeyValue::new("shop.both", "request"),
                KeyValue::new("shop.both", "again"),
                KeyValue::new("http.route", "invented"),
            ]
        })
        .response_attributes(|response| {
            [
                KeyValue::new("shop.cache", response.headers["x-cache"].to_str().unwrap().to_owned()),
                KeyValue::new("shop.both", "response"),
                KeyValue::new("http.response.status_code", 999),
            ]
        });
    send(layer, get_request("/users/7")).await;
    // This fails if an attribute occurs twice.
    let (attributes, _) = attributes_and_failed(&recorder.span());
    for (name, value) in [
        ("shop.method", "GET"),
        ("shop.cache", "hit"),
        ("shop.both", "request"),
        ("http.route", "/users/{id}"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(attributes[name], value, "{name}");
    }
    assert!(!series(&recorder).keys().any(|key| key.starts_with("shop.")));
}

#[tokio::test]
async fn the_metric_has_only_the_attributes_for_metrics() {
    let recorder = Recorder::new();
    let layer = layer(&recorder)
        .request_metric_attributes(|_| {
            [KeyValue::new("shop.api", "v1"), KeyValue::new("url.scheme", "invented")]
        })
        .response_metric_attributes(|response| {
            [
                KeyValue::new("shop.cached", response.headers.contains_key("x-cache")),
                KeyValue::new("shop.api", "response"),
            ]
        });
    send(layer, get_request("/users/7")).await;
    let series = series(&recorder);
    let own = ["shop.api", "shop.cached", "url.scheme"].map(|name| series[name].as_str());
    assert_eq!(own, ["v1", "true", "http"]);
    assert!(!attributes_and_failed(&recorder.span()).0.keys().any(|key| key.starts_with("shop.")));
    let [(active, 0)] = &recorder.sums(HTTP_SERVER_ACTIVE_REQUESTS)[..] else { panic!() };
    assert_eq!(*active, expected([("http.request.method", "GET"), ("url.scheme", "http")]));
}

#[tokio::test]
async fn captures_headers_without_their_secrets() {
    let recorder = Recorder::new();
    let names = ["accept", "authorization", "cookie", "x-key", "x-many", "x-long", "x-bytes", "x-absent"];
    let layer = layer(&recorder)
        .capture_request_headers(names.map(HeaderName::from_static))
        .capture_response_headers([HeaderName::from_static("x-cache"), header::SET_COOKIE]);
    let mut request = get_request("/users/7");
    let mut sensitive = HeaderValue::from_static("secret");
    sensitive.set_sensitive(true);
    let headers = request.headers_mut();
    for (name, value) in [
        ("accept", HeaderValue::from_static("text/html")),
        ("accept", HeaderValue::from_static("text/plain, */*")),
        ("authorization", HeaderValue::from_static("Bearer secret")),
        ("cookie", HeaderValue::from_static("id=secret")),
        ("x-key", sensitive),
        ("x-long", HeaderValue::try_from("a".repeat(3000)).unwrap()),
        ("x-bytes", HeaderValue::from_bytes(b"a\xff").unwrap()),
        ("x-not-captured", HeaderValue::from_static("secret")),
    ] {
        headers.append(name, value);
    }
    for _ in 0..100 {
        headers.append("x-many", HeaderValue::from_static("m"));
    }
    send(layer, request).await;

    let span = recorder.span();
    let (attributes, _) = attributes_and_failed(&span);
    let captured: BTreeMap<_, _> = attributes
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("http.")?, value.as_str())))
        .filter(|(key, _)| key.contains(".header."))
        .collect();
    let many = format!("[{}]", ["\"m\""; 16].join(","));
    let long = format!("[\"{}\"]", "a".repeat(1024));
    assert_eq!(
        captured,
        BTreeMap::from([
            ("request.header.accept", r#"["text/html","text/plain, */*"]"#),
            ("request.header.authorization", r#"["REDACTED"]"#),
            ("request.header.cookie", r#"["REDACTED"]"#),
            ("request.header.x-key", r#"["REDACTED"]"#),
            ("request.header.x-many", &many),
            ("request.header.x-long", &long),
            ("request.header.x-bytes", "[\"a\u{fffd}\"]"),
            ("response.header.x-cache", r#"["hit"]"#),
            ("response.header.set-cookie", r#"["REDACTED"]"#),
        ])
    );
    assert!(!format!("{span:?}").contains("secret"));
}

fn proxied_request() -> Request<Body> {
    let peer: SocketAddr = "10.0.0.1:4711".parse().unwrap();
    Request::get("/users/7")
        .header("host", "inner:8080")
        .header("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.0.0.2")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "shop.example.org")
        .extension(ConnectInfo(peer))
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn trusted_proxies_name_the_client_and_the_server() {
    let recorder = Recorder::new();
    let by_builder = layer(&recorder).trusted_proxies(["10.0.0.0/8".parse().unwrap()]);
    let by_setting = ServerLayer::of(Scope {
        settings: settings("SIGHTLINE_TRUSTED_PROXIES", "10.0.0.0/8"),
        ..recorder.scope()
    });
    for layer in [by_builder, by_setting] {
        send(layer, proxied_request()).await;
    }
    for span in recorder.spans() {
        let (attributes, _) = attributes_and_failed(&span);
        for (name, value) in [
            ("client.address", "192.0.2.7"),
            ("network.peer.address", "10.0.0.1"),
            ("network.peer.port", "4711"),
            ("server.address", "shop.example.org"),
            ("url.scheme", "https"),
        ] {
            assert_eq!(attributes[name], value, "{name}");
        }
        assert!(!attributes.contains_key("server.port"));
    }
    assert_eq!((recorder.spans().len(), series(&recorder)["url.scheme"].as_str()), (2, "https"));
}

#[tokio::test]
async fn no_proxy_is_trusted_by_default() {
    let recorder = Recorder::new();
    let overridden = ServerLayer::of(Scope {
        settings: settings("SIGHTLINE_TRUSTED_PROXIES", "10.0.0.0/8"),
        ..recorder.scope()
    })
    .trusted_proxies([]);
    let others = layer(&recorder).trusted_proxies(["10.0.0.2/32".parse().unwrap()]);
    for layer in [layer(&recorder), overridden, others] {
        send(layer, proxied_request()).await;
    }
    assert_eq!(recorder.spans().len(), 3);
    for span in recorder.spans() {
        let (attributes, _) = attributes_and_failed(&span);
        let read =
            ["client.address", "server.address", "server.port", "url.scheme"].map(|name| &attributes[name]);
        assert_eq!(read, ["10.0.0.1", "inner", "8080", "http"]);
    }
}

#[tokio::test]
async fn the_setting_replaces_the_known_methods() {
    for (method, known, name, original) in
        [("PURGE", "PURGE", "PURGE /users/{id}", None), ("GET", "_OTHER", "HTTP /users/{id}", Some("GET"))]
    {
        let recorder = Recorder::new();
        let layer = ServerLayer::of(Scope {
            settings: settings("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "PURGE,POST"),
            ..recorder.scope()
        });
        let request = Request::builder().method(method).uri("/users/7").body(Body::empty()).unwrap();
        send(layer, request).await;
        let span = recorder.span();
        let (attributes, _) = attributes_and_failed(&span);
        assert_eq!((span.name.as_ref(), attributes["http.request.method"].as_str()), (name, known));
        assert_eq!(attributes.get("http.request.method_original").map(String::as_str), original);
        assert_eq!(series(&recorder)["http.request.method"], known);
        let active = &recorder.sums(HTTP_SERVER_ACTIVE_REQUESTS)[0].0;
        assert_eq!(active["http.request.method"], known);
    }
}
