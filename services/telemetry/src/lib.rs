//! Traces, metrics and logs for a Rust service, by OpenTelemetry.
//!
//! A service that wants all of it hands its life over:
//!
//! ```no_run
//! # async fn serve(settings: (), running: telemetry::Running) -> Result<(), std::io::Error> { Ok(()) }
//! fn main() -> std::process::ExitCode {
//!     telemetry::run(telemetry::service!(), |_env| Ok(()), serve)
//! }
//! ```
//!
//! One that keeps its own `main` calls [`start`], and [`Telemetry::shutdown`] at the end.
//!
//! Everything is set from the environment: see [`settings::names`].

pub mod db;
pub mod grpc;
pub mod http;
pub mod propagation;
pub mod settings;
pub mod span;

mod admin;
mod call;
mod error;
mod error_type;
mod export;
#[cfg(test)]
mod fake_collector;
mod guard;
mod lifecycle;
mod logs;
mod metrics;
mod otlp;
mod propagators;
mod resource;
mod response;
mod sampling;
mod scope;
#[cfg(test)]
mod testing;
mod text;
mod tls;
mod traces;

pub use error::{ShutdownError, StartError, chain};
pub use guard::{Telemetry, start};
pub use lifecycle::{Running, run};
pub use tls::TlsError;

/// What a service is called. [`service!`] makes it from the crate it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// `service.name`, unless `OTEL_SERVICE_NAME` says otherwise.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
}

/// The [`Service`] that the calling crate is: its name and version.
#[macro_export]
macro_rules! service {
    () => {
        $crate::Service { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") }
    };
}
