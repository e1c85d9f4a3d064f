//! The name and version of the service that uses this crate.

/// The name and version of a service. [`service!`](crate::service!) creates it from the calling crate's `Cargo.toml`.
///
/// See the [semantic conventions for services](https://opentelemetry.io/docs/specs/semconv/resource/service/).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The default for the resource attribute `service.name`. `OTEL_SERVICE_NAME` overrides it.
    pub name: &'static str,
    /// The resource attribute `service.version`.
    pub version: &'static str,
}

/// Creates a [`Service`] with the name and version of the calling crate.
///
/// ```
/// let service = sightline_telemetry::service!();
/// assert_eq!(service.name, env!("CARGO_PKG_NAME"));
/// assert_eq!(service.version, env!("CARGO_PKG_VERSION"));
/// ```
#[macro_export]
macro_rules! service {
    () => {
        $crate::Service { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") }
    };
}
