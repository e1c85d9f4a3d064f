//! The OTLP exporters of a crate that is compiled without OTLP: building one fails.

use std::marker::PhantomData;
use std::time::Duration;

use opentelemetry::metrics::Meter;
use opentelemetry_sdk::metrics::Temporality;

use super::not_compiled::{self, NoExporter};
use crate::delivery::export::ExportThread;
use crate::error::StartError;
use crate::settings::{Otlp, Signal};

const FEATURES: &str = "otlp-grpc or otlp-http";

/// Builds no exporters.
pub(crate) struct Exporters<'a>(PhantomData<&'a ExportThread>);

#[expect(clippy::unused_self, reason = "the methods are those of the real exporters")]
impl<'a> Exporters<'a> {
    pub(crate) fn new(
        _thread: &'a ExportThread,
        _reload_interval: Duration,
        _expiry_warning: Duration,
    ) -> Self {
        Self(PhantomData)
    }

    pub(crate) fn register_certificates(&self, _meter: &Meter) {}

    pub(crate) fn spans(&mut self, _otlp: &Otlp, _timeout: Duration) -> Result<NoExporter, StartError> {
        Err(not_compiled::error(Signal::Traces, FEATURES))
    }

    pub(crate) fn logs(&mut self, _otlp: &Otlp, _timeout: Duration) -> Result<NoExporter, StartError> {
        Err(not_compiled::error(Signal::Logs, FEATURES))
    }

    pub(crate) fn metrics(
        &mut self,
        _otlp: &Otlp,
        _timeout: Duration,
        _temporality: Temporality,
    ) -> Result<NoExporter, StartError> {
        Err(not_compiled::error(Signal::Metrics, FEATURES))
    }
}
