//! The admin port: `/metrics` for Prometheus, `/livez` and `/readyz` for the kubelet's probes.
//!
//! The admin port is separate from the service's port, so the service's clients do not need access to the admin port.
//! Requests to the admin port are not traced. By default, `/metrics` serves the same metrics that the service exports
//! over OTLP.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Encoder, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::settings::Admin;

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

/// Binds the admin port.
pub(crate) async fn bind(settings: &Admin) -> io::Result<TcpListener> {
    TcpListener::bind((settings.host.as_str(), settings.port)).await
}

/// Returns the routes of the admin port. `phase` carries the current phase to `/readyz`.
pub(crate) fn router(registry: prometheus::Registry, phase: watch::Receiver<Phase>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Arc::new(AdminState { registry, phase }))
}

struct AdminState {
    registry: prometheus::Registry,
    phase: watch::Receiver<Phase>,
}

async fn metrics(State(state): State<Arc<AdminState>>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&state.registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => {
            tracing::error!(error = crate::error::chain(&error), "metrics cannot be encoded for Prometheus");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn ready(State(state): State<Arc<AdminState>>) -> (StatusCode, &'static str) {
    match *state.phase.borrow() {
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Ready => (StatusCode::OK, "ready\n"),
        Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}
