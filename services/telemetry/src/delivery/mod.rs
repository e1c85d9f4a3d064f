//! How telemetry leaves the process: the export thread, the exporters and their counters, and their TLS client.

pub(crate) mod console;
pub(crate) mod count;
#[cfg(feature = "tls")]
pub(crate) mod expiry;
pub(crate) mod export;
#[cfg_attr(not(feature = "_otlp"), path = "no_otlp.rs")]
pub(crate) mod otlp;
#[cfg(feature = "tls")]
pub(crate) mod tls;

mod failure;
#[cfg(not(all(feature = "otlp-grpc", feature = "otlp-http", feature = "console")))]
mod not_compiled;
