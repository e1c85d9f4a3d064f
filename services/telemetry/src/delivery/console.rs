//! Exporters of spans and metrics to standard output.

use crate::error::StartError;

#[cfg(feature = "console")]
pub(crate) use opentelemetry_stdout::{MetricExporter, SpanExporter};

#[cfg(not(feature = "console"))]
pub(crate) use super::not_compiled::{NoExporter as MetricExporter, NoExporter as SpanExporter};

/// Builds an exporter of spans.
#[cfg_attr(feature = "console", expect(clippy::unnecessary_wraps, reason = "it fails without the feature"))]
pub(crate) fn spans() -> Result<SpanExporter, StartError> {
    #[cfg(feature = "console")]
    return Ok(SpanExporter::default());
    #[cfg(not(feature = "console"))]
    Err(super::not_compiled::error(crate::settings::Signal::Traces, "console"))
}

/// Builds an exporter of metrics.
#[cfg_attr(feature = "console", expect(clippy::unnecessary_wraps, reason = "it fails without the feature"))]
pub(crate) fn metrics() -> Result<MetricExporter, StartError> {
    #[cfg(feature = "console")]
    return Ok(MetricExporter::default());
    #[cfg(not(feature = "console"))]
    Err(super::not_compiled::error(crate::settings::Signal::Metrics, "console"))
}
