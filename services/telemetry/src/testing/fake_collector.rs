//! A fake Collector for unit tests. It accepts OTLP over gRPC and HTTP on one port and counts the spans that it
//! receives.
//!
//! The end-to-end tests in `tests/` use the real Collector.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::post};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

/// A fake Collector that runs until the test process exits.
pub(crate) struct FakeCollector {
    address: SocketAddr,
    spans: Arc<AtomicUsize>,
}

/// Returns a port on which nothing listens.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl FakeCollector {
    /// Starts the fake Collector on a free port.
    pub(crate) fn start() -> Self {
        Self::start_on(0)
    }

    /// Starts the fake Collector on `port`, in a separate thread. It therefore responds even while the thread of the
    /// test is blocked, as a real Collector in another process does.
    pub(crate) fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let spans = Arc::new(AtomicUsize::new(0));
        let app = Router::new()
            .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(grpc_spans))
            .route("/v1/traces", post(http_spans))
            // Accept OTLP requests for metrics and logs too. An empty message is a complete response to each of them.
            .fallback(|headers: HeaderMap| async move { response(&headers) })
            .with_state(Arc::clone(&spans));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app).await.unwrap();
            });
        });
        Self { address, spans }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the number of spans received so far.
    pub(crate) fn spans(&self) -> usize {
        self.spans.load(Ordering::SeqCst)
    }
}

async fn grpc_spans(State(spans): State<Arc<AtomicUsize>>, headers: HeaderMap, body: Bytes) -> Response {
    // A gRPC message starts with a one-byte flag and a four-byte length.
    count(&spans, &body[5..]);
    response(&headers)
}

async fn http_spans(State(spans): State<Arc<AtomicUsize>>, headers: HeaderMap, body: Bytes) -> Response {
    count(&spans, &body);
    response(&headers)
}

fn count(spans: &AtomicUsize, message: &[u8]) {
    let request = ExportTraceServiceRequest::decode(message).unwrap();
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    spans.fetch_add(scopes.map(|scope| scope.spans.len()).sum(), Ordering::SeqCst);
}

/// Returns an empty success response in the protocol of the request.
fn response(headers: &HeaderMap) -> Response {
    let is_grpc = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = futures_util::stream::iter([
            Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(&[0; 5]))),
            Ok(http_body::Frame::trailers(trailers)),
        ]);
        let body = axum::body::Body::new(http_body_util::StreamBody::new(frames));
        ([(header::CONTENT_TYPE, "application/grpc")], body).into_response()
    } else {
        (StatusCode::OK, [(header::CONTENT_TYPE, "application/x-protobuf")]).into_response()
    }
}
