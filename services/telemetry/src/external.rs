//! The crates whose types are in this crate's API.
//!
//! Most of them have a version below 1.0, and this crate follows their releases: a new minor version of one of them is
//! then a breaking change of this crate. Use the re-exports to get the same version as this crate, without an entry in
//! `Cargo.toml`:
//!
//! ```
//! use sightline_telemetry::external::opentelemetry::global;
//!
//! let meter = global::meter("shop");
//! meter.u64_counter("orders").build().add(1, &[]);
//! ```
//!
//! | crate | where its types occur | feature |
//! | --- | --- | --- |
//! | `opentelemetry` | [`propagation`](crate::propagation), and the providers that [`start`](crate::start) installs | |
//! | `opentelemetry_sdk` | the span limits and the temporality in [`settings`](crate::settings), and the extension points of [`TelemetryBuilder`](crate::TelemetryBuilder) | |
//! | `http` (1.x) | headers, and the endpoint in [`settings`](crate::settings) | |
//! | `ipnet` (2.x) | the networks of trusted proxies | |
//! | `tracing_subscriber` | the syntax of `RUST_LOG`, the subscriber that [`start`](crate::start) installs, and [`TelemetryBuilder::layer`](crate::TelemetryBuilder::layer) | |
//! | `axum` | the module `http` | `http` |
//! | `tower` | the layers of the modules `http` and `grpc` | `http`, `http-client`, `grpc` |
//! | `reqwest` | the client in the module `http` | `http-client` |
//! | `tonic` | the module `grpc` | `grpc` |
//! | `prometheus` | `Telemetry::registry` | `prometheus` |

#[cfg(feature = "http")]
pub use axum;
pub use http;
pub use ipnet;
pub use opentelemetry;
pub use opentelemetry_sdk;
#[cfg(feature = "prometheus")]
pub use prometheus;
#[cfg(feature = "http-client")]
pub use reqwest;
#[cfg(feature = "grpc")]
pub use tonic;
#[cfg(feature = "_calls")]
pub use tower;
pub use tracing_subscriber;
