//! Traces, metrics and logs for a Rust service, by OpenTelemetry.

pub mod settings;
