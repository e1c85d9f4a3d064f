mod options;

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Response;
use http_body_util::BodyExt as _;
use opentelemetry_sdk::trace::Sampler;
use tower::{Layer as _, ServiceExt as _};

use super::*;
use crate::instrument::response::ResponseBody;
use crate::instrument::span::{record_error, trace_id};
use crate::testing::{
    PARENT, Recorder, ScriptedBody, attributes_and_failed, cancel, expected, never_completes, reqwest_client,
    serve,
};

fn app(recorder: &Recorder) -> Router {
    Router::new()
        .route("/users/{id}", get(|| async { "Ada" }))
        .route("/fails", get(|| async { StatusCode::BAD_GATEWAY }))
        .route("/hangs", get(never_completes::<()>))
        .layer(ServerLayer::of(recorder.scope()))
}

fn get_request(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn records_the_attributes_of_request_and_response() {
    let request = |method: &str, uri: &str| {
        let peer: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "users.example.org:8080")
            .header("user-agent", "test/1")
            .extension(ConnectInfo(peer))
            .body(Body::empty())
            .unwrap()
    };
    let always = [
        ("client.address", "192.0.2.7"),
        ("network.peer.address", "192.0.2.7"),
        ("network.peer.port", "4711"),
        ("network.protocol.version", "1.1"),
        ("server.address", "users.example.org"),
        ("server.port", "8080"),
        ("url.scheme", "http"),
        ("user_agent.original", "test/1"),
    ];
    for (request, name, failed, rest) in [
        (
            request("GET", "/users/7?q=1&sig=secret"),
            "GET /users/{id}",
            false,
            vec![
                ("http.request.method", "GET"),
                ("http.route", "/users/{id}"),
                ("http.response.status_code", "200"),
                ("url.path", "/users/7"),
                ("url.query", "q=1&sig=REDACTED"),
            ],
        ),
        (
            request("GET", "/nowhere"),
            "GET",
            false,
            vec![
                ("http.request.method", "GET"),
                ("http.response.status_code", "404"),
                ("url.path", "/nowhere"),
            ],
        ),
        (
            request("DELETE", "/users/7"),
            "DELETE /users/{id}",
            false,
            vec![
                ("http.request.method", "DELETE"),
                ("http.route", "/users/{id}"),
                ("http.response.status_code", "405"),
                ("url.path", "/users/7"),
            ],
        ),
        (
            request("GET", "/fails"),
            "GET /fails",
            true,
            vec![
                ("error.type", "502"),
                ("http.request.method", "GET"),
                ("http.route", "/fails"),
                ("http.response.status_code", "502"),
                ("url.path", "/fails"),
            ],
        ),
        (
            request("BREW", "/nowhere"),
            "HTTP",
            false,
            vec![
                ("http.request.method", "_OTHER"),
                ("http.request.method_original", "BREW"),
                ("http.response.status_code", "404"),
                ("url.path", "/nowhere"),
            ],
        ),
    ] {
        let recorder = Recorder::new();
        let response = app(&recorder).oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();

        let span = recorder.span();
        assert_eq!(span.name, name);
        assert_eq!(span.span_kind, SpanKind::Server);
        let mut all = expected(always);
        all.extend(rest.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(attributes_and_failed(&span), (all, failed), "{name}");
        assert_eq!(span.instrumentation_scope.name(), "sightline-telemetry");
        assert!(span.instrumentation_scope.schema_url().unwrap().ends_with("/1.42.0"));
    }
}

#[tokio::test]
async fn records_the_metrics_of_a_request() {
    let recorder = Recorder::new();
    let response = app(&recorder).oneshot(get_request("/users/7")).await.unwrap();
    assert_eq!(active(&recorder), [1], "the request ended before the body was read");
    response.into_body().collect().await.unwrap();
    assert_eq!(active(&recorder), [0]);
    let series = expected([
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/users/{id}"),
        ("network.protocol.version", "1.1"),
        ("url.scheme", "http"),
    ]);
    assert_eq!(recorder.histogram_counts(HTTP_SERVER_REQUEST_DURATION), [(series, 1)]);
    assert_eq!(recorder.bucket_boundaries(HTTP_SERVER_REQUEST_DURATION), CALL_BUCKETS);
}

fn active(recorder: &Recorder) -> Vec<i64> {
    recorder.sums(HTTP_SERVER_ACTIVE_REQUESTS).into_iter().map(|(_, value)| value).collect()
}

#[tokio::test]
async fn the_handler_runs_in_the_context_of_the_caller() {
    let recorder = Recorder::new();
    let seen = Arc::new(Mutex::new(None));
    let handler = {
        let seen = seen.clone();
        || async move {
            *seen.lock().unwrap() =
                Some(Context::map_current(|context| context.span().span_context().clone()));
        }
    };
    let app = Router::new().route("/", get(handler)).layer(ServerLayer::of(recorder.scope()));
    let request = Request::get("/")
        .header("traceparent", PARENT)
        .header("tracestate", "vendor=kept")
        .body(Body::empty())
        .unwrap();
    app.oneshot(request).await.unwrap();

    let span = recorder.span();
    assert_eq!(span.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert!(span.parent_span_is_remote);
    assert_eq!(span.span_context.trace_state().header(), "vendor=kept");
    assert_eq!(seen.lock().unwrap().as_ref(), Some(&span.span_context));
}

#[tokio::test]
async fn records_a_cancelled_request() {
    let recorder = Recorder::new();
    cancel(app(&recorder).oneshot(get_request("/hangs"))).await;

    let (attributes, failed) = attributes_and_failed(&recorder.span());
    assert_eq!((attributes["error.type"].as_str(), failed), ("cancelled", true));
    assert!(!attributes.contains_key("http.response.status_code"));
    assert_eq!(active(&recorder), [0]);
    let durations = recorder.histogram_counts(HTTP_SERVER_REQUEST_DURATION);
    assert_eq!((durations[0].0["error.type"].as_str(), durations[0].1), ("cancelled", 1));
}

#[tokio::test]
async fn a_panic_is_an_error() {
    async fn panics() -> StatusCode {
        panic!("expected by the test")
    }
    let recorder = Recorder::new();
    let app = Router::new().route("/", get(panics)).layer(ServerLayer::of(recorder.scope()));
    let outcome = tokio::spawn(app.oneshot(get_request("/"))).await;
    assert!(outcome.is_err_and(|error| error.is_panic()));
    let (attributes, failed) = attributes_and_failed(&recorder.span());
    assert_eq!((attributes["error.type"].as_str(), failed), ("panic", true));
    assert_eq!(active(&recorder), [0]);
}

/// Sends a request to a service inside the server layer. Returns the response, which has `body` as its body.
async fn respond_with(
    recorder: &Recorder,
    body: ScriptedBody,
) -> Response<ResponseBody<ScriptedBody, ServerCall>> {
    let mut body = Some(body);
    let service = tower::service_fn(move |_: Request<()>| {
        let response = Response::new(body.take().unwrap());
        async { Ok::<_, Infallible>(response) }
    });
    ServerLayer::of(recorder.scope()).layer(service).oneshot(Request::new(())).await.unwrap()
}

#[tokio::test]
async fn a_call_lasts_until_the_end_of_a_streamed_body() {
    let recorder = Recorder::new();
    let mut body = respond_with(&recorder, ScriptedBody::data(&["a", "b"])).await.into_body();
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
        assert!(recorder.spans().is_empty(), "the span ended too early");
        assert_eq!(active(&recorder), [1]);
    }
    assert!(body.frame().await.is_none());
    let (attributes, failed) = attributes_and_failed(&recorder.span());
    assert_eq!((attributes.get("error.type"), failed), (None, false));
    assert_eq!(active(&recorder), [0]);
}

#[tokio::test]
async fn an_incomplete_body_is_an_error() {
    for (body, error) in [
        (ScriptedBody::data(&["a"]).then_hangs(), "cancelled"),
        (ScriptedBody::data(&["a"]).then_fails(ErrorKind::ConnectionReset), "connection_reset"),
    ] {
        let recorder = Recorder::new();
        let mut body = respond_with(&recorder, body).await.into_body();
        body.frame().await.unwrap().unwrap();
        if error == "cancelled" {
            drop(body);
        } else {
            body.frame().await.unwrap().unwrap_err();
        }
        let (attributes, failed) = attributes_and_failed(&recorder.span());
        assert_eq!((attributes["error.type"].as_str(), failed), (error, true));
        assert_eq!(attributes["http.response.status_code"], "200");
        assert_eq!(active(&recorder), [0]);
    }
}

#[tokio::test]
async fn a_body_is_complete_when_the_announced_length_is_sent() {
    let recorder = Recorder::new();
    let app = Router::new()
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/announced",
            get(|| async {
                let body = Body::new(ScriptedBody::data(&["12", "345"]).then_hangs());
                Response::builder().header("content-length", 5).body(body).unwrap()
            }),
        )
        .layer(ServerLayer::of(recorder.scope()));
    let address = serve(app).await;
    let client = reqwest_client();
    for (method, path) in [
        (Method::HEAD, "/announced"),
        (Method::GET, "/announced"),
        (Method::GET, "/empty"),
        (Method::HEAD, "/nowhere"),
    ] {
        let response = client.request(method, format!("http://{address}{path}")).send().await.unwrap();
        response.bytes().await.unwrap();
    }
    for span in recorder.wait_for_spans(4).await {
        let (attributes, failed) = attributes_and_failed(&span);
        assert_eq!((attributes.get("error.type"), failed), (None, false), "{}", span.name);
    }
}

#[tokio::test]
async fn a_closed_connection_cancels_the_request() {
    let recorder = Recorder::new();
    let address = serve(app(&recorder)).await;
    let response =
        reqwest_client().get(format!("http://{address}/hangs")).timeout(Duration::from_millis(50)).send();
    assert!(response.await.unwrap_err().is_timeout());
    let (attributes, _) = attributes_and_failed(&recorder.wait_for_spans(1).await[0]);
    assert_eq!(attributes["error.type"], "cancelled");
    assert_eq!(active(&recorder), [0]);
}

#[tokio::test]
async fn the_span_has_the_recorded_error_as_its_only_error_type() {
    async fn handler() -> StatusCode {
        record_error(&std::io::Error::other("disk on fire"));
        StatusCode::INTERNAL_SERVER_ERROR
    }
    let recorder = Recorder::new();
    let app = Router::new().route("/", get(handler)).layer(ServerLayer::of(recorder.scope()));
    app.oneshot(get_request("/")).await.unwrap();
    let span = recorder.span();
    // `attributes_and_failed` fails if an attribute occurs twice.
    assert_eq!(attributes_and_failed(&span).0["error.type"], "std::io::error::Error::Custom");
    assert_eq!(span.status, opentelemetry::trace::Status::error("disk on fire"));
    assert_eq!(span.events.len(), 1);
    // The metric's `error.type` is the status and not the recorded error. An unsampled span records no error, and a
    // metric's attributes must not depend on sampling.
    assert_eq!(recorder.histogram_counts(HTTP_SERVER_REQUEST_DURATION)[0].0["error.type"], "500");
}

#[tokio::test]
async fn records_the_duration_of_an_unsampled_request() {
    let recorder = Recorder::sampling(Sampler::AlwaysOff);
    let app = Router::new()
        .route("/", get(|| async { trace_id().unwrap_or_default() }))
        .layer(ServerLayer::of(recorder.scope()));
    let request = Request::get("/").header("traceparent", PARENT).body(Body::empty()).unwrap();
    let body = app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(recorder.spans().is_empty());
    assert_eq!(recorder.histogram_counts(HTTP_SERVER_REQUEST_DURATION)[0].1, 1);
}

#[tokio::test]
async fn serves_requests_without_telemetry() {
    let app = Router::new().route("/", get(|| async { "ok" })).layer(server_layer());
    let response = app.oneshot(get_request("/")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
}

#[tokio::test]
async fn tracing_spans_are_children_with_their_own_errors() {
    use opentelemetry::trace::TracerProvider as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[tracing::instrument]
    async fn read_user() {
        tokio::task::yield_now().await;
        record_error(&std::io::Error::other("disk on fire"));
    }
    let recorder = Recorder::new();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(recorder.traces().tracer("handlers")));
    let _default = tracing::subscriber::set_default(subscriber);
    let app = Router::new().route("/", get(read_user)).layer(ServerLayer::of(recorder.scope()));
    app.oneshot(get_request("/")).await.unwrap();

    let spans = recorder.spans();
    let [child, server] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!(child.name, "read_user");
    assert_eq!(child.parent_span_id, server.span_context.span_id());
    assert_eq!(child.span_context.trace_id(), server.span_context.trace_id());
    assert_eq!((child.events.len(), server.events.len()), (1, 0));
    assert_eq!(server.status, opentelemetry::trace::Status::Unset);
}

#[tokio::test]
async fn shortens_the_text_that_a_client_sends() {
    let long = "é".repeat(3000);
    let request = Request::builder()
        .method("X".repeat(3000).as_str())
        .uri(format!("/{}?{}", "p".repeat(3000), "q".repeat(3000)))
        .header("host", "h".repeat(3000))
        .header("user-agent", "a".repeat(3000))
        .header("traceparent", long.as_str())
        .header("baggage", long.as_str())
        .body(Body::empty())
        .unwrap();
    let recorder = Recorder::new();
    app(&recorder).oneshot(request).await.unwrap();
    let (attributes, _) = attributes_and_failed(&recorder.span());
    for name in ["http.request.method_original", "url.path", "url.query", "user_agent.original"] {
        assert_eq!(attributes[name].len(), 1024, "{name}");
    }
    assert!(!attributes.contains_key("server.address"));
}
