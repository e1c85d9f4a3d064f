//! HTTP servers and clients: a span and metrics for every request.
//!
//! | to instrument | use |
//! | --- | --- |
//! | an axum router, or another tower service that serves HTTP | [`server_layer`] |
//! | a [`reqwest::Client`] | [`Client`], with [`client_builder`] |
//! | another HTTP client that is a tower service | [`client_layer`] |
//!
//! A server reads the caller's context from the headers of a request, and the handler runs in that context. A client
//! writes the current context into the headers of its request. So the spans of client and server are in one trace. A
//! layer or a [`Client`] uses the OpenTelemetry providers that are installed at the time of its creation. So create it
//! after [`start`](crate::start) has returned, or inside [`run`](crate::run).
//!
//! A span lasts until the end of the response's body, so the span of a streamed response ends with the last byte of the
//! stream. A cancelled request is recorded with the `error.type` `cancelled`. A request is cancelled, for example, by a
//! timeout outside the layer or because the caller closes the connection. A client does not cancel a request when it
//! drops the body of the response.
//!
//! Names, attributes and metrics follow version 1.42 of the OpenTelemetry semantic conventions for
//! [HTTP spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/) and
//! [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/).
//!
//! [`ServerLayer`] has options: which requests are recorded, additional attributes, captured headers, and the proxies whose
//! headers name the client. The methods that a span names are a setting,
//! `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.
//!
//! The modules [`json`], [`panic`](mod@panic) and [`problem`] are for axum handlers. They turn bad bodies, panics and
//! other errors into problem details that carry the trace id.
//!
//! ```no_run
//! use axum::{Router, middleware::from_fn, routing::get};
//! use sightline_telemetry::http::{panic::catch_panics, problem, server_layer};
//!
//! # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
//! let app = Router::new()
//!     .route("/users/{id}", get(|| async { "Ada" }))
//!     .fallback(problem::not_found)
//!     .method_not_allowed_fallback(problem::method_not_allowed)
//!     .layer(from_fn(catch_panics))
//!     .layer(server_layer().trace_response(true));
//! axum::serve(listener, app).await
//! # }
//! ```

mod attributes;
#[cfg(feature = "http-client")]
mod client;
#[cfg(feature = "http")]
pub mod json;
#[cfg(feature = "http")]
pub mod panic;
#[cfg(feature = "http")]
pub mod problem;
#[cfg(feature = "http-client")]
mod reqwest_client;
#[cfg(feature = "http")]
mod server;
#[cfg(feature = "http")]
mod trace_response;

#[cfg(feature = "http")]
pub use crate::instrument::options::RequestHead;
#[cfg(feature = "http-client")]
pub use client::{ClientLayer, ClientService, UrlTemplate, client_layer};
#[cfg(feature = "http-client")]
pub use reqwest_client::{Client, client_builder};
#[cfg(feature = "http")]
pub use server::{ServerLayer, ServerService, server_layer};
