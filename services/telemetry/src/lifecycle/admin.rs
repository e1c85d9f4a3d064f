//! The admin port: `/metrics` for Prometheus, `/livez` and `/readyz` for the kubelet's probes.
//!
//! The admin port is separate from the service's port, so the service's clients do not need access to the admin port.
//! Requests to the admin port are not traced. By default, `/metrics` serves the same metrics that the service exports
//! over OTLP. Without the cargo feature `prometheus`, there is no `/metrics`.
//!
//! The server is hyper's and not axum's, so a service that does not use axum does not compile it.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::settings::Admin;
use crate::signals::metrics::Registry;

/// The maximum time to receive the head of a request. It limits how long a client that sends nothing keeps a connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause after a connection could not be accepted, for example because the process has too many open files.
const ACCEPT_BACKOFF: Duration = Duration::from_secs(1);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The lifecycle phase of a service. It determines the response of `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The service does not accept requests yet.
    Starting,
    /// The service accepts requests.
    Ready,
    /// The service is finishing the requests in flight and accepts no new requests.
    Stopping,
}

/// What the admin port reports.
pub(crate) struct AdminState {
    /// The metrics for Prometheus.
    pub(crate) registry: Registry,
    /// The current phase.
    pub(crate) phase: watch::Receiver<Phase>,
}

/// Binds the admin port.
pub(crate) async fn bind(settings: &Admin) -> io::Result<TcpListener> {
    TcpListener::bind((settings.host.as_str(), settings.port)).await
}

/// Serves the admin port forever.
pub(crate) async fn serve(listener: TcpListener, state: AdminState) {
    let state = Arc::new(state);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::debug!(error = crate::error::chain(&error), "admin connection not accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = respond(&request, &state);
                async { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(error = crate::error::chain(&error), "admin connection closed");
            }
        });
    }
}

fn respond<B>(request: &Request<B>, state: &AdminState) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let mut response = match path {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => ready(*state.phase.borrow()),
        #[cfg(feature = "prometheus")]
        "/metrics" => metrics(&state.registry),
        _ => return text(StatusCode::NOT_FOUND, "this path does not exist\n"),
    };
    // hyper leaves out the body of a response to HEAD.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        response = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
    }
    response
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}

fn ready(phase: Phase) -> Response<Full<Bytes>> {
    match phase {
        Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Ready => text(StatusCode::OK, "ready\n"),
        Phase::Stopping => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

#[cfg(feature = "prometheus")]
fn metrics(registry: &Registry) -> Response<Full<Bytes>> {
    use prometheus::{Encoder as _, TextEncoder};

    let mut body = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut body) {
        Ok(()) => {
            let mut response = Response::new(Full::new(Bytes::from(body)));
            let kind = HeaderValue::from_static(prometheus::TEXT_FORMAT);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(error) => {
            tracing::error!(error = crate::error::chain(&error), "metrics cannot be encoded for Prometheus");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be encoded\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(phase: Phase) -> AdminState {
        AdminState { registry: Registry::default(), phase: watch::channel(phase).1 }
    }

    fn status(method: Method, path: &str, phase: Phase) -> u16 {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        respond(&request, &state(phase)).status().as_u16()
    }

    #[test]
    fn is_ready_only_between_start_and_stop() {
        assert_eq!(status(Method::GET, "/readyz", Phase::Starting), 503);
        assert_eq!(status(Method::GET, "/readyz", Phase::Ready), 200);
        assert_eq!(status(Method::GET, "/readyz", Phase::Stopping), 503);
        assert_eq!(status(Method::GET, "/livez", Phase::Stopping), 200);
    }

    #[test]
    fn serves_metrics_only_with_prometheus() {
        let expected = if cfg!(feature = "prometheus") { 200 } else { 404 };
        assert_eq!(status(Method::GET, "/metrics", Phase::Ready), expected);
    }

    #[test]
    fn rejects_other_paths_and_methods() {
        assert_eq!(status(Method::GET, "/", Phase::Ready), 404);
        assert_eq!(status(Method::POST, "/livez", Phase::Ready), 405);
        assert_eq!(status(Method::HEAD, "/livez", Phase::Ready), 200);
    }

    #[tokio::test]
    async fn serves_several_requests_on_one_connection() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = tokio::spawn(serve(listener, state(Phase::Ready)));
        let requests = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(requests.as_bytes()).await.unwrap();
        let mut responses = String::new();
        stream.read_to_string(&mut responses).await.unwrap();
        assert!(responses.contains("\r\n\r\nok\n") && responses.ends_with("\r\n\r\nready\n"), "{responses}");
        server.abort();
    }
}
