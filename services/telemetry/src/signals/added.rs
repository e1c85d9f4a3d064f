//! Span processors, log processors and metric readers that the program adds.
//!
//! A fault of a part that the program adds must not affect the service or this crate's delivery:
//!
//! - If the part panics, the panic is caught, and the part is turned off. Its state may be inconsistent after a panic,
//!   so it is not called again. The shutdown reports it.
//! - Each part is shut down on a thread of its own. The SDK would shut down one processor after another, so a part that
//!   blocks would delay the flush of this crate's exporters.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::logs::Severity;
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, Pipeline, Temporality};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// A part that the program adds, before telemetry starts.
pub(crate) struct Addition<T: ?Sized> {
    /// The kind and the type of the part, for the report, such as `span processor shop::Tenant`.
    label: String,
    part: Box<T>,
}

impl<T: ?Sized> Addition<T> {
    /// `kind` is the kind of the part, and `name` is its type.
    pub(crate) fn new(kind: &str, name: &str, part: Box<T>) -> Self {
        Self { label: format!("{kind} {name}"), part }
    }

    fn start(self) -> Added<T> {
        let Self { label, part } = self;
        let (off, panicked) = (AtomicBool::new(false), AtomicBool::new(false));
        Added(Arc::new(State { label, off, panicked, part }))
    }
}

impl Addition<dyn SpanProcessor> {
    /// Returns the part for the provider, and its handle for the shutdown.
    pub(crate) fn into_processor(mut self, resource: &Resource) -> (Added<dyn SpanProcessor>, Arc<dyn Stop>) {
        self.part.set_resource(resource);
        let added = self.start();
        let handle = Arc::clone(&added.0);
        (added, handle)
    }
}

impl Addition<dyn LogProcessor> {
    /// Returns the part for the provider, and its handle for the shutdown.
    pub(crate) fn into_processor(mut self, resource: &Resource) -> (Added<dyn LogProcessor>, Arc<dyn Stop>) {
        self.part.set_resource(resource);
        let added = self.start();
        let handle = Arc::clone(&added.0);
        (added, handle)
    }
}

impl Addition<dyn MetricReader> {
    /// Returns the part for the provider, and its handle for the shutdown.
    pub(crate) fn into_reader(self) -> (Added<dyn MetricReader>, Arc<dyn Stop>) {
        let added = self.start();
        let handle = Arc::clone(&added.0);
        (added, handle)
    }
}

/// A part that the program adds, as the SDK's provider holds it. The provider does not shut it down: [`Stop`] does.
pub(crate) struct Added<T: ?Sized>(Arc<State<T>>);

pub(crate) struct State<T: ?Sized> {
    label: String,
    /// Whether the part is no longer called, because it panicked or was shut down.
    off: AtomicBool,
    panicked: AtomicBool,
    part: Box<T>,
}

impl<T: ?Sized> State<T> {
    /// Calls the part. Returns `None` if the part is turned off or panics.
    fn call<R>(&self, call: impl FnOnce(&T) -> R) -> Option<R> {
        if self.off.load(Ordering::Relaxed) { None } else { self.catch(call) }
    }

    /// Calls the part, and turns it off if it panics. The process's panic hook prints the message of the panic.
    fn catch<R>(&self, call: impl FnOnce(&T) -> R) -> Option<R> {
        let result = catch_unwind(AssertUnwindSafe(|| call(&self.part)));
        if result.is_err() {
            self.panicked.store(true, Ordering::Relaxed);
            self.off.store(true, Ordering::Relaxed);
        }
        result.ok()
    }

    fn stop_with(&self, shutdown: impl FnOnce(&T) -> OTelSdkResult) -> OTelSdkResult {
        let result = if self.off.swap(true, Ordering::Relaxed) { None } else { self.catch(shutdown) };
        match result {
            Some(result) => result,
            None if self.panicked.load(Ordering::Relaxed) => {
                Err(OTelSdkError::InternalFailure("it panicked and was turned off".to_owned()))
            }
            None => Ok(()),
        }
    }
}

impl<T: ?Sized> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Added").field(&self.label).finish()
    }
}

impl<T: ?Sized> fmt::Debug for Added<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Shuts down a part that the program adds.
pub(crate) trait Stop: fmt::Debug + Send + Sync {
    /// The kind and the type of the part.
    fn label(&self) -> &str;

    /// Flushes the part and shuts it down. The part is not called afterwards.
    fn stop(&self, timeout: Duration) -> OTelSdkResult;
}

impl Stop for State<dyn SpanProcessor> {
    fn label(&self) -> &str {
        &self.label
    }

    fn stop(&self, timeout: Duration) -> OTelSdkResult {
        self.stop_with(|part| part.shutdown_with_timeout(timeout))
    }
}

impl Stop for State<dyn LogProcessor> {
    fn label(&self) -> &str {
        &self.label
    }

    fn stop(&self, timeout: Duration) -> OTelSdkResult {
        self.stop_with(|part| part.shutdown_with_timeout(timeout))
    }
}

impl Stop for State<dyn MetricReader> {
    fn label(&self) -> &str {
        &self.label
    }

    fn stop(&self, timeout: Duration) -> OTelSdkResult {
        self.stop_with(|part| part.shutdown_with_timeout(timeout))
    }
}

impl SpanProcessor for Added<dyn SpanProcessor> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.call(|part| part.on_start(span, context));
    }

    fn on_end(&self, span: SpanData) {
        self.0.call(|part| part.on_end(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.call(SpanProcessor::force_flush).unwrap_or(Ok(()))
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl LogProcessor for Added<dyn LogProcessor> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.call(|part| part.emit(record, scope));
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.call(LogProcessor::force_flush).unwrap_or(Ok(()))
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.0.call(|part| part.event_enabled(level, target, name)).unwrap_or(false)
    }
}

impl MetricReader for Added<dyn MetricReader> {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.call(|part| part.register_pipeline(pipeline));
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.call(|part| part.collect(metrics)).unwrap_or(Err(OTelSdkError::AlreadyShutdown))
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.call(MetricReader::force_flush).unwrap_or(Ok(()))
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.call(|part| part.temporality(kind)).unwrap_or_default()
    }
}
