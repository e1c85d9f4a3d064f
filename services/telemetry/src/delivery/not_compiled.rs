//! What takes the place of an exporter whose cargo feature is not compiled.
//!
//! The settings from the environment never select such an exporter. A program can still select one, because the fields of
//! the settings are public. The start of telemetry then fails.

use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::error::StartError;
use crate::settings::Signal;

/// An exporter that does not exist.
#[derive(Debug)]
pub(crate) enum NoExporter {}

/// The error for an exporter of `signal` that needs `feature`.
pub(super) fn error(signal: Signal, feature: &str) -> StartError {
    StartError::Exporter {
        signal: signal.name(),
        reason: format!("it needs the cargo feature {feature} of sightline-telemetry"),
    }
}

impl SpanExporter for NoExporter {
    async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
        match *self {}
    }
}

impl LogExporter for NoExporter {
    async fn export(&self, _batch: LogBatch<'_>) -> OTelSdkResult {
        match *self {}
    }
}

impl PushMetricExporter for NoExporter {
    async fn export(&self, _metrics: &ResourceMetrics) -> OTelSdkResult {
        match *self {}
    }

    fn force_flush(&self) -> OTelSdkResult {
        match *self {}
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        match *self {}
    }

    fn temporality(&self) -> Temporality {
        match *self {}
    }
}
