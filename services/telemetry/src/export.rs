//! Exporters on a thread of their own, and the count of what they delivered.
//!
//! The SDK's batch processors have threads but no runtime. If exporters borrowed the service's runtime, a
//! shutdown from async code on one worker thread would wait for itself and lose every span. So input and output
//! happen on a current-thread runtime that nothing else uses, inside a suppressed scope: what happens on that
//! thread is never itself traced.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The thread that exporters do their input and output on. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ExportThread {
    handle: Handle,
    // Dropping the sender ends the thread.
    _stop: oneshot::Sender<()>,
}

impl ExportThread {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("telemetry-export".into()).spawn(move || {
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            // An error means that the sender is gone, which is how the thread is told to end.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, _stop: stop })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// How much one exporter was given and how much of it arrived.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// For example `spans to otlp`.
    what: &'static str,
    given: AtomicU64,
    delivered: AtomicU64,
    closed: AtomicBool,
}

impl Delivery {
    pub(crate) fn new(what: &'static str) -> Arc<Self> {
        Arc::new(Self {
            what,
            given: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        })
    }

    pub(crate) fn record_submitted(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
    }

    /// From here on nothing more is to be given.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn deliver(&self, count: usize) {
        self.delivered.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// A line about what did not arrive, if anything did not.
    pub(crate) fn lost(&self) -> Option<String> {
        let given = self.given.load(Ordering::Relaxed);
        let delivered = self.delivered.load(Ordering::Relaxed);
        (given > delivered).then(|| format!("{} of {given} {}", given - delivered, self.what))
    }
}

/// An exporter whose work happens inside the export thread's runtime and is counted.
pub(crate) struct Exporter<E> {
    inner: E,
    handle: Handle,
    budget: Duration,
    delivery: Arc<Delivery>,
}

impl<E> Exporter<E> {
    /// `budget` is how long one batch may meet connections that break.
    pub(crate) fn new(inner: E, thread: &ExportThread, budget: Duration, delivery: Arc<Delivery>) -> Self {
        Self { inner, handle: thread.handle().clone(), budget, delivery }
    }

    /// Waits for the export, which happens on the other thread.
    fn run<F: Future<Output = OTelSdkResult>>(&self, attempt: impl Fn() -> F) -> OTelSdkResult {
        self.handle.block_on(over_broken_connections(attempt, self.budget))
    }
}

impl<E> fmt::Debug for Exporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}

/// Between two connections that break, at first and at most. What breaks all of them is not to be kept busy.
const PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(3);

/// Exports again when the connection broke before the answer, as it does when an agent is killed, for as long as new
/// attempts may begin.
///
/// The exporter tries again after other failures, and not after these: tonic reports them as the status `Unknown` or
/// `Internal`, which OTLP says not to repeat when a server answers it. No server has answered here. The batch may have
/// arrived, so it may arrive twice; a store knows a span by its id.
async fn over_broken_connections<F: Future<Output = OTelSdkResult>>(
    attempt: impl Fn() -> F,
    budget: Duration,
) -> OTelSdkResult {
    let begun = Instant::now();
    let mut pause = PAUSE;
    loop {
        let outcome = attempt().await;
        if !outcome.as_ref().is_err_and(is_broken_connection) || begun.elapsed() + pause >= budget {
            return outcome;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// The error's text is all there is of it. Only a failure on this side has a cause, which stands behind the status.
fn is_broken_connection(error: &OTelSdkError) -> bool {
    let OTelSdkError::InternalFailure(reason) = error else { return false };
    ["gRPC code: Unknown: ", "gRPC code: Internal: "].iter().any(|broken| reason.contains(broken))
}

// The SDK calls `export` from a thread of the batch processor and waits for it there, so that waiting for the
// runtime here blocks nothing else.
impl<E: SpanExporter> SpanExporter for Exporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.run(|| self.inner.export(batch.clone())).inspect(|()| self.delivery.deliver(count))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for Exporter<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let records: Vec<_> = batch.iter().collect();
        self.run(|| self.inner.export(LogBatch::new(&records)))
            .inspect(|()| self.delivery.deliver(records.len()))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Exporter<E> {
    /// Metrics are sums: an export that fails is made good by the next, so only the last one can be lost. The
    /// guard learns of that from the provider's shutdown.
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.run(|| self.inner.export(metrics))
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}
