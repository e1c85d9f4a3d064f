//! A fake Collector for unit tests. It accepts OTLP over gRPC and HTTP on one port and keeps what it receives.
//!
//! The end-to-end tests in `tests/` use the real Collector.

#![allow(dead_code, reason = "each test program uses a part of this module")]

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

/// A fake Collector that runs until the test process exits.
pub(crate) struct FakeCollector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

/// The requests that a fake Collector received.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) traces: Vec<ExportTraceServiceRequest>,
    pub(crate) metrics: Vec<ExportMetricsServiceRequest>,
    pub(crate) logs: Vec<ExportLogsServiceRequest>,
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
        let received = Arc::new(Mutex::new(Received::default()));
        let app = Router::new().fallback(receive).with_state(Arc::clone(&received));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app).await.unwrap();
            });
        });
        Self { address, received }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the requests received so far.
    pub(crate) fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap()
    }

    /// Returns the number of spans received so far.
    pub(crate) fn spans(&self) -> usize {
        let received = self.received();
        let resources = received.traces.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).map(|scope| scope.spans.len()).sum()
    }
}

async fn receive(
    State(received): State<Arc<Mutex<Received>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // A gRPC message starts with a one-byte flag and a four-byte length.
    let grpc = |body: &Bytes| body.slice(5..);
    let mut received = received.lock().unwrap();
    match uri.path() {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
            received.traces.push(Message::decode(grpc(&body)).unwrap());
        }
        "/v1/traces" => received.traces.push(Message::decode(body).unwrap()),
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => {
            received.metrics.push(Message::decode(grpc(&body)).unwrap());
        }
        "/v1/metrics" => received.metrics.push(Message::decode(body).unwrap()),
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => {
            received.logs.push(Message::decode(grpc(&body)).unwrap());
        }
        "/v1/logs" => received.logs.push(Message::decode(body).unwrap()),
        _ => {}
    }
    // An empty message is a complete response to each of these requests.
    response(&headers)
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
