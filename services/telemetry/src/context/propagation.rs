//! Passing the context from one process to the next, in the headers of a request.
//!
//! The layers and clients of [`http`](crate::http) and [`grpc`](crate::grpc) do this for every request. Use this module
//! to pass the context by other means, such as the headers of a message in a message queue: [`HeaderExtractor`] and
//! [`HeaderInjector`] connect a [`HeaderMap`] to the process's propagator. [`start`](crate::start) installs the
//! propagators that the setting `OTEL_PROPAGATORS` selects.
//!
//! By default, the context is sent in the headers `traceparent` and `tracestate`, which [W3C Trace Context] defines,
//! and in the header `baggage`, which [W3C Baggage] defines. OpenTelemetry's [propagators API] defines how a propagator
//! reads and writes these headers.
//!
//! The sender:
//!
//! ```
//! use opentelemetry::{Context, global};
//! use sightline_telemetry::propagation::HeaderInjector;
//!
//! let mut headers = http::HeaderMap::new();
//! global::get_text_map_propagator(|propagator| {
//!     propagator.inject_context(&Context::current(), &mut HeaderInjector::new(&mut headers));
//! });
//! ```
//!
//! The receiver:
//!
//! ```
//! use opentelemetry::{global, trace::FutureExt as _};
//! use sightline_telemetry::propagation::HeaderExtractor;
//!
//! # async fn handle(body: &[u8]) {}
//! # async fn receive(headers: http::HeaderMap, body: &[u8]) {
//! let context = global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor::new(&headers)));
//! handle(body).with_context(context).await;
//! # }
//! ```
//!
//! [W3C Trace Context]: https://www.w3.org/TR/trace-context/#trace-context-http-headers-format
//! [W3C Baggage]: https://www.w3.org/TR/baggage/#baggage-http-header-format
//! [propagators API]: https://opentelemetry.io/docs/specs/otel/context/api-propagators/#textmap-propagator

mod headers;

use http::HeaderMap;
use opentelemetry::{Context, global};

pub use headers::{HeaderExtractor, HeaderInjector};

/// The context that the headers of a request carry.
pub(crate) fn extract(headers: &HeaderMap) -> Context {
    global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor::new(headers)))
}

/// Writes `context` into the headers of a request.
pub(crate) fn inject(context: &Context, headers: &mut HeaderMap) {
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(context, &mut HeaderInjector::new(headers));
    });
}
