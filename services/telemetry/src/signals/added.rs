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
}

impl<T: Part + ?Sized> Addition<T> {
    /// Returns the part for the provider, and its handle for the shutdown.
    pub(crate) fn start(self) -> (Added<T>, Arc<dyn Stop>) {
        let Self { label, part } = self;
        let (off, panicked) = (AtomicBool::new(false), AtomicBool::new(false));
        let state = Arc::new(State { label, off, panicked, part });
        (Added(Arc::clone(&state)), state)
    }
}

impl Addition<dyn SpanProcessor> {
    /// Sets the resource of the processor. Then returns the same as [`start`](Self::start).
    pub(crate) fn start_with(mut self, resource: &Resource) -> (Added<dyn SpanProcessor>, Arc<dyn Stop>) {
        self.part.set_resource(resource);
        self.start()
    }
}

impl Addition<dyn LogProcessor> {
    /// Sets the resource of the processor. Then returns the same as [`start`](Self::start).
    pub(crate) fn start_with(mut self, resource: &Resource) -> (Added<dyn LogProcessor>, Arc<dyn Stop>) {
        self.part.set_resource(resource);
        self.start()
    }
}

/// A kind of part. Each kind has the same method in a trait of its own.
pub(crate) trait Part: Send + Sync + 'static {
    /// Flushes the part and shuts it down.
    fn shut_down(&self, timeout: Duration) -> OTelSdkResult;
}

impl Part for dyn SpanProcessor {
    fn shut_down(&self, timeout: Duration) -> OTelSdkResult {
        self.shutdown_with_timeout(timeout)
    }
}

impl Part for dyn LogProcessor {
    fn shut_down(&self, timeout: Duration) -> OTelSdkResult {
        self.shutdown_with_timeout(timeout)
    }
}

impl Part for dyn MetricReader {
    fn shut_down(&self, timeout: Duration) -> OTelSdkResult {
        self.shutdown_with_timeout(timeout)
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

impl<T: Part + ?Sized> Stop for State<T> {
    fn label(&self) -> &str {
        &self.label
    }

    fn stop(&self, timeout: Duration) -> OTelSdkResult {
        let was_off = self.off.swap(true, Ordering::Relaxed);
        match (!was_off).then(|| self.catch(|part| part.shut_down(timeout))).flatten() {
            Some(result) => result,
            None if self.panicked.load(Ordering::Relaxed) => {
                Err(OTelSdkError::InternalFailure("it panicked and was turned off".to_owned()))
            }
            None => Ok(()),
        }
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
