//! Traces, metrics and logs for a Rust service, built on [OpenTelemetry](https://opentelemetry.io/docs/specs/otel/).
//!
//! The crate sets up the three signals as the standard `OTEL_*` environment variables say. It also adds what a service
//! needs around the SDK: instrumentation for axum, tonic, reqwest and SQL, mutual TLS with certificate reload, resource
//! detection, an admin port, and a shutdown that reports what was lost.
//!
//! # Getting started
//!
//! There are two ways to use the crate:
//!
//! - [`run`] runs a whole service. It reads the settings, starts telemetry, serves the admin port, handles SIGTERM,
//!   flushes, and returns the exit code. `examples/minimal.rs` is a complete service.
//! - [`start`] starts only telemetry, for a program with its own `main`. [`Telemetry::shutdown`] stops telemetry:
//!
//! ```
//! use std::time::Duration;
//!
//! use sightline_telemetry::settings::{MapEnv, Settings};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // A real program reads its environment: `Settings::read(&ProcessEnv)`.
//!     let env = MapEnv::from_iter([
//!         ("OTEL_TRACES_EXPORTER", "none"),
//!         ("OTEL_METRICS_EXPORTER", "none"),
//!         ("OTEL_LOGS_EXPORTER", "console"),
//!     ]);
//!     let telemetry = sightline_telemetry::start(&sightline_telemetry::service!(), &Settings::read(&env)?)?;
//!
//!     tracing::info_span!("work").in_scope(|| tracing::info!(order.id = 7, "order read"));
//!
//!     telemetry.shutdown(Duration::from_secs(5))?;
//!     Ok(())
//! }
//! ```
//!
//! # Extension points
//!
//! [`Telemetry::builder`] adds parts of the program's own. [`TelemetryBuilder`] says how they work together with the
//! crate's parts, and what happens if one of them panics or blocks.
//!
//! | method | adds |
//! | --- | --- |
//! | [`layer`](TelemetryBuilder::layer) | a layer of the `tracing` subscriber |
//! | [`span_processor`](TelemetryBuilder::span_processor) | a span processor, which can add attributes at the start of a span |
//! | [`sampler`](TelemetryBuilder::sampler) | a sampler, instead of the one that the settings select |
//! | [`log_processor`](TelemetryBuilder::log_processor) | a log processor, which can change log records |
//! | [`view`](TelemetryBuilder::view) | a view, which renames, drops or aggregates metrics |
//! | [`metric_reader`](TelemetryBuilder::metric_reader) | a metric reader |
//! | `runtime_metrics` | turns the metrics of the process and of the runtime off |
//! | [`propagator`](TelemetryBuilder::propagator) | a propagator |
//! | [`resource_detector`](TelemetryBuilder::resource_detector) | a resource detector |
//! | [`resource_attributes`](TelemetryBuilder::resource_attributes) | fixed attributes of the resource |
//! | [`env`](TelemetryBuilder::env), [`settings`](TelemetryBuilder::settings) | another source of the settings |
//!
//! # Modules
//!
//! | module | contents |
//! | --- | --- |
//! | `http` (features `http`, `http-client`) | Layers for HTTP servers and clients, and error responses as problem details. |
//! | `grpc` (feature `grpc`) | Layers for tonic servers and clients. |
//! | `db` (feature `sql`) | Spans and metrics for database calls. |
//! | [`span`] | Helpers for the current span: recording an error, reading the trace ID. |
//! | [`propagation`] | Reading the context from HTTP headers and writing the context to them. |
//! | [`settings`] | All settings, how they are read, and their names. |
//! | [`external`] | The crates whose types are in this crate's API. |
//!
//! # Cargo features
//!
//! By default, all features are compiled. They are additive. A service that needs less turns the default off and names
//! its features, which halves the number of crates to build:
//!
//! ```toml
//! [dependencies]
//! sightline-telemetry = { version = "0.1", default-features = false, features = ["http", "otlp-grpc"] }
//! ```
//!
//! | feature | contents |
//! | --- | --- |
//! | `http` | `http`: the layer for axum and other tower servers, problem details, the JSON extractor |
//! | `http-client` | `http`: the wrapper around reqwest, and the layer for tower clients |
//! | `grpc` | `grpc`: the layers for tonic servers and clients |
//! | `sql` | `db`: spans and metrics of database calls |
//! | `kubernetes` | resource attributes from the pod's files and from the API server |
//! | `prometheus` | `/metrics` on the admin port |
//! | `runtime-metrics` | metrics of the process and of the Tokio runtime |
//! | `otlp-grpc`, `otlp-http` | export over OTLP with this protocol |
//! | `console` | spans and metrics on standard output; logs need no feature |
//! | `gzip` | compression of OTLP exports |
//! | `tls` | OTLP exports to `https` endpoints, with client certificates that are reloaded |
//!
//! `kubernetes` and `otlp-http` include `tls`. A setting that needs a feature that is not compiled is an error at start,
//! which names the feature.
//!
//! # Settings
//!
//! Every setting is an environment variable that is read once, at start. [`settings::names`] lists these variables.
//! Names and values follow the [OpenTelemetry specification]. The crate's own variables start with `SIGHTLINE_`. A
//! value that cannot be used is an error at start, even if the specification asks only for a warning.
//!
//! # Guarantees
//!
//! - **Loss is counted.** [`Telemetry::shutdown`] reports every span and log record that was not delivered, including
//!   those that a full queue dropped. While the process runs, the `otel.sdk.*` metrics report the same counts.
//! - **Telemetry never makes a request fail.** Queues are bounded and never block. If the Collector is slow or absent,
//!   the telemetry that does not fit in a queue or is not delivered in time is dropped and counted.
//! - **Exports do not depend on the service's runtime.** They run on their own thread. Async code can therefore call
//!   [`Telemetry::shutdown`] without a deadlock, even in a runtime with a single worker thread.
//!
//! Spans and metrics follow the [semantic conventions](https://opentelemetry.io/docs/specs/semconv/) 1.42. The modules
//! link to the sections that they implement.
//!
//! [OpenTelemetry specification]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

// Code that several features share is compiled with each of them. With the default features, unused code is reported.
#![cfg_attr(
    not(all(
        feature = "http",
        feature = "http-client",
        feature = "grpc",
        feature = "sql",
        feature = "kubernetes",
        feature = "prometheus",
        feature = "runtime-metrics",
        feature = "otlp-grpc",
        feature = "otlp-http",
        feature = "console",
        feature = "gzip",
        feature = "tls"
    )),
    allow(dead_code, unreachable_pub, reason = "the features that use the code are not all compiled")
)]

pub mod external;
pub mod settings;

mod context;
mod delivery;
mod error;
mod instrument;
mod lifecycle;
mod resource;
#[cfg(feature = "runtime-metrics")]
mod runtime_metrics;
mod service;
mod signals;
#[cfg(test)]
mod testing;
mod text;

pub use context::propagation;
pub use error::{ShutdownError, StartError, TlsError, chain};
#[cfg(feature = "sql")]
pub use instrument::db;
#[cfg(feature = "grpc")]
pub use instrument::grpc;
#[cfg(any(feature = "http", feature = "http-client"))]
pub use instrument::http;
pub use instrument::span;
pub use lifecycle::{Running, Telemetry, TelemetryBuilder, run, start};
pub use service::Service;
