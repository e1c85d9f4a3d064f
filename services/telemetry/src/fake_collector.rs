//! A collector for unit tests: it answers OTLP over gRPC and HTTP on one port and counts spans. Everything beyond
//! the unit is tested against the real Collector, in `tests/`.

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

pub(crate) struct Collector {
    address: SocketAddr,
    spans: Arc<AtomicUsize>,
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::start_on(0)
    }

    /// It runs on a thread of its own, as a process of its own would.
    pub(crate) fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let spans = Arc::new(AtomicUsize::new(0));
        let app = Router::new()
            .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(grpc_spans))
            .route("/v1/traces", post(http_spans))
            // Whatever else comes is taken: an empty message is a full answer to all of OTLP.
            .fallback(|headers: HeaderMap| async move { answer(&headers) })
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

    pub(crate) fn spans(&self) -> usize {
        self.spans.load(Ordering::SeqCst)
    }
}

async fn grpc_spans(State(spans): State<Arc<AtomicUsize>>, headers: HeaderMap, body: Bytes) -> Response {
    // A flag and a length stand before a gRPC message.
    count(&spans, &body[5..]);
    answer(&headers)
}

async fn http_spans(State(spans): State<Arc<AtomicUsize>>, headers: HeaderMap, body: Bytes) -> Response {
    count(&spans, &body);
    answer(&headers)
}

fn count(spans: &AtomicUsize, message: &[u8]) {
    let request = ExportTraceServiceRequest::decode(message).unwrap();
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    spans.fetch_add(scopes.map(|scope| scope.spans.len()).sum(), Ordering::SeqCst);
}

fn answer(headers: &HeaderMap) -> Response {
    let grpc = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if grpc {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let message = futures_util::stream::iter([
            Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(&[0; 5]))),
            Ok(http_body::Frame::trailers(trailers)),
        ]);
        let body = axum::body::Body::new(http_body_util::StreamBody::new(message));
        ([(header::CONTENT_TYPE, "application/grpc")], body).into_response()
    } else {
        (StatusCode::OK, [(header::CONTENT_TYPE, "application/x-protobuf")]).into_response()
    }
}
