//! How telemetry leaves the process: the export thread, the OTLP exporters, and their TLS client.

pub(crate) mod export;
pub(crate) mod otlp;
pub(crate) mod tls;
