//! A dedicated thread for exporters.
//!
//! Exporters need a Tokio runtime, but the threads of the SDK's batch processors have none. Suppose that exporters used
//! the service's runtime, and that this runtime had a single worker thread. A shutdown from async code would then block
//! that thread and wait for exporters that cannot run, so every span would be lost. Exporters therefore do their I/O on
//! a separate runtime with its own thread. That thread suppresses telemetry, so exports are not traced.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::delivery::count::Delivery;

/// The thread for the I/O of exporters. Dropping this value ends the thread.
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
            // The result is always an error: the sender sends nothing and is only dropped.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, _stop: stop })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Runs the exporter `inner` on the export thread's runtime and counts what it delivers.
pub(crate) struct Exporter<E> {
    inner: E,
    handle: Handle,
    batch_timeout: Duration,
    delivery: Arc<Delivery>,
}

impl<E> Exporter<E> {
    /// `batch_timeout` limits how long a batch is retried after broken connections.
    pub(crate) fn new(
        inner: E,
        thread: &ExportThread,
        batch_timeout: Duration,
        delivery: Arc<Delivery>,
    ) -> Self {
        Self { inner, handle: thread.handle().clone(), batch_timeout, delivery }
    }

    /// Runs one export of `count` items and counts them by its result. Blocks the calling thread until the export and
    /// its retries end.
    fn block_on<F: Future<Output = OTelSdkResult>>(
        &self,
        count: usize,
        export: impl Fn() -> F,
    ) -> OTelSdkResult {
        let count = count as u64;
        self.delivery.take(count);
        let started = Instant::now();
        let result = self.handle.block_on(retry_broken_connections(export, self.batch_timeout));
        self.delivery.finish(count, started.elapsed(), &result);
        result
    }
}

impl<E> fmt::Debug for Exporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}

/// The first pause after a broken connection. The pause doubles after each further broken connection, up to
/// [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(3);

/// Repeats an export when its connection breaks before the response arrives, for example because the agent was killed.
/// No new export starts later than `batch_timeout` after the start of the first one.
///
/// The SDK's exporter retries after other failures, but not after a broken connection. tonic reports a broken
/// connection as the status `Unknown`, or as `Internal` after an HTTP/2 GOAWAY frame. [OTLP] forbids a retry when a
/// server responds with one of these statuses, but after a broken connection, no server has responded, so a retry is
/// allowed. The batch may already have arrived, so a retry can deliver it twice. A store can detect a duplicate span,
/// because a span has a unique ID. The SDK has a timeout of its own, which is as long as `batch_timeout` and starts
/// again with each export. So a batch can take up to twice `batch_timeout`.
///
/// [OTLP]: https://opentelemetry.io/docs/specs/otlp/#failures
async fn retry_broken_connections<F: Future<Output = OTelSdkResult>>(
    export: impl Fn() -> F,
    batch_timeout: Duration,
) -> OTelSdkResult {
    let started = Instant::now();
    let mut backoff = MIN_BACKOFF;
    loop {
        let result = export().await;
        if !result.as_ref().is_err_and(is_broken_connection) || started.elapsed() + backoff >= batch_timeout {
            return result;
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(MAX_BACKOFF);
    }
}

/// Recognizes a broken connection by the error's text, because the SDK passes on only the text. In the text, a colon
/// and a cause follow the status only if the failure occurred in this process. A status that the server sent has no
/// cause.
fn is_broken_connection(error: &OTelSdkError) -> bool {
    let OTelSdkError::InternalFailure(reason) = error else { return false };
    ["gRPC code: Unknown: ", "gRPC code: Internal: "].iter().any(|status| reason.contains(status))
}

// The SDK calls `export` on a thread of the batch processor and waits there for the result. Blocking that thread
// affects nothing else.
impl<E: SpanExporter> SpanExporter for Exporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.block_on(batch.len(), || self.inner.export(batch.clone()))
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
        self.block_on(records.len(), || self.inner.export(LogBatch::new(&records)))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Exporter<E> {
    /// Exports metrics. With the default temporality, `cumulative`, the export after a failed export also contains the
    /// data of the failed export. So data is lost only if the last export fails, and the provider's shutdown reports
    /// that failure. With `delta`, the measurements of a failed export are lost.
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.block_on(data_points(metrics), || self.inner.export(metrics))
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

/// Returns the number of data points in `metrics`.
fn data_points(metrics: &ResourceMetrics) -> usize {
    fn of<T>(data: &MetricData<T>) -> usize {
        match data {
            MetricData::Gauge(gauge) => gauge.data_points().count(),
            MetricData::Sum(sum) => sum.data_points().count(),
            MetricData::Histogram(histogram) => histogram.data_points().count(),
            MetricData::ExponentialHistogram(histogram) => histogram.data_points().count(),
        }
    }
    let all = metrics.scope_metrics().flat_map(ScopeMetrics::metrics);
    all.map(|metric| match metric.data() {
        AggregatedMetrics::F64(data) => of(data),
        AggregatedMetrics::I64(data) => of(data),
        AggregatedMetrics::U64(data) => of(data),
    })
    .sum()
}
