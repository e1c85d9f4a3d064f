//! The response header `traceresponse`, which identifies the server span of a request.
//!
//! The header's value has the form `00-{trace id}-{span id}-{flags}`, in lower-case hexadecimal digits. This is version
//! `00` of the format in drafts of W3C Trace Context. No W3C recommendation includes the header. The header was
//! [removed from Level 2] of the specification. It stayed in the [draft of Level 3] until a [metric of `Server-Timing`]
//! with the same value replaced the header.
//!
//! [removed from Level 2]: https://github.com/w3c/trace-context/pull/484
//! [draft of Level 3]: https://github.com/w3c/trace-context/blob/0b83a231593a67ec024063280d77bc1842afaa37/spec/21-http_response_header_format.md
//! [metric of `Server-Timing`]: https://github.com/w3c/trace-context/pull/560

use std::io::Write as _;

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, TraceFlags};

const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// The length of the value: two digits for the version, 32 for the trace id, 16 for the span id, two for the flags, and
/// three dashes.
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// Adds the header for `span`. Does nothing if the handler has already set the header, or if `span` is invalid or from
/// another process.
pub(super) fn add(headers: &mut HeaderMap, span: &SpanContext) {
    if let Entry::Vacant(entry) = headers.entry(TRACERESPONSE)
        && let Some(value) = value(span)
    {
        entry.insert(value);
    }
}

fn value(span: &SpanContext) -> Option<HeaderValue> {
    // Without a tracer provider, `span` is either invalid or the caller's span context, which is remote.
    if !span.is_valid() || span.is_remote() {
        return None;
    }
    let mut value = [0; LENGTH];
    let flags = span.trace_flags() & TraceFlags::SAMPLED;
    write!(value.as_mut_slice(), "00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()).ok()?;
    HeaderValue::from_bytes(&value).ok()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::{Request, Response, StatusCode};
    use opentelemetry_sdk::trace::Sampler;
    use tower::ServiceExt as _;

    use super::TRACERESPONSE;
    use crate::instrument::http::{ServerLayer, server_layer};
    use crate::testing::{PARENT, Recorder};

    fn app(layer: ServerLayer) -> Router {
        let own = || async { [(TRACERESPONSE, "set by the handler")] };
        Router::new()
            .route("/users/{id}", get(|| async { "Ada" }))
            .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
            .route("/fails", get(|| async { StatusCode::BAD_GATEWAY }))
            .route("/own", get(own))
            .layer(layer)
    }

    async fn send(layer: ServerLayer, method: &str, path: &str, parent: Option<&str>) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(parent) = parent {
            request = request.header("traceparent", parent);
        }
        app(layer).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    /// All values of the header in `response`.
    fn traceresponse(response: &Response<Body>) -> Vec<&str> {
        response.headers().get_all(TRACERESPONSE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn every_response_identifies_its_server_span() {
        for (method, path, status) in [
            ("GET", "/users/7", 200),
            ("HEAD", "/users/7", 200),
            ("GET", "/empty", 204),
            ("GET", "/nowhere", 404),
            ("DELETE", "/users/7", 405),
            ("GET", "/fails", 502),
        ] {
            let recorder = Recorder::new();
            let layer = ServerLayer::of(recorder.scope()).trace_response(true);
            let mut response = send(layer, method, path, None).await;
            assert_eq!(response.status(), status, "{method} {path}");
            *response.body_mut() = Body::empty(); // dropping the body ends the span
            let span = recorder.span().span_context;
            let expected = format!("00-{}-{}-01", span.trace_id(), span.span_id());
            assert_eq!(traceresponse(&response), [expected], "{method} {path}");
        }
    }

    #[tokio::test]
    async fn the_trace_id_comes_from_the_caller() {
        let recorder = Recorder::new();
        let layer = ServerLayer::of(recorder.scope()).trace_response(true);
        let response = send(layer, "GET", "/users/7", Some(PARENT)).await;
        let header = traceresponse(&response)[0];
        let span_id = header.strip_prefix("00-4bf92f3577b34da6a3ce929d0e0e4736-").unwrap();
        assert_ne!(&span_id[..16], "00f067aa0ba902b7", "the header has the caller's span id");
    }

    #[tokio::test]
    async fn an_unsampled_request_has_the_flags_00() {
        let recorder = Recorder::sampling(Sampler::AlwaysOff);
        let layer = ServerLayer::of(recorder.scope()).trace_response(true);
        let response = send(layer, "GET", "/users/7", Some(PARENT)).await;
        let header = traceresponse(&response)[0];
        assert_eq!(header.len(), super::LENGTH);
        assert!(
            header.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && header.ends_with("-00"),
            "{header}"
        );
    }

    #[tokio::test]
    async fn keeps_a_header_that_the_handler_set() {
        let recorder = Recorder::new();
        let layer = ServerLayer::of(recorder.scope()).trace_response(true);
        let response = send(layer, "GET", "/own", None).await;
        assert_eq!(traceresponse(&response), ["set by the handler"]);
    }

    #[tokio::test]
    async fn without_the_option_there_is_no_header() {
        let recorder = Recorder::new();
        for layer in
            [ServerLayer::of(recorder.scope()), ServerLayer::of(recorder.scope()).trace_response(false)]
        {
            let response = send(layer, "GET", "/users/7", Some(PARENT)).await;
            assert_eq!(traceresponse(&response), [""; 0]);
        }
    }

    #[tokio::test]
    async fn without_a_tracer_provider_there_is_no_header() {
        let _propagator = Recorder::new(); // installs the propagator that reads the caller's context
        for parent in [None, Some(PARENT)] {
            let response = send(server_layer().trace_response(true), "GET", "/users/7", parent).await;
            assert_eq!(traceresponse(&response), [""; 0], "{parent:?}");
        }
    }
}
