//! The counts of what an exporter delivers and loses.
//!
//! The shutdown reports the loss, and [`crate::signals::sdk_metrics`] reports all counts while the process runs. Both
//! read the same counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_semantic_conventions::attribute;

use crate::delivery::failure;
use crate::settings::{Otlp, Protocol, Signal};

/// What an exporter exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Span,
    LogRecord,
    /// A data point of a metric.
    DataPoint,
}

/// The attributes of a component of the SDK, for the metrics about it.
#[derive(Clone, Debug)]
pub(crate) struct Component(Vec<KeyValue>);

impl Component {
    /// The component number `index` of its kind in this process. `kind` is a value of [`otel.component.type`].
    ///
    /// [`otel.component.type`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/otel/#otel-component-type
    pub(crate) fn new(kind: &'static str, index: usize) -> Self {
        Self(vec![
            KeyValue::new(attribute::OTEL_COMPONENT_TYPE, kind),
            KeyValue::new(attribute::OTEL_COMPONENT_NAME, format!("{kind}/{index}")),
        ])
    }

    /// The exporter of a signal over OTLP. A process has at most one of them for each signal.
    pub(crate) fn otlp(signal: Signal, otlp: &Otlp) -> Self {
        let kind = match (otlp.protocol, signal) {
            (Protocol::Grpc, Signal::Traces) => "otlp_grpc_span_exporter",
            (Protocol::Grpc, Signal::Metrics) => "otlp_grpc_metric_exporter",
            (Protocol::Grpc, Signal::Logs) => "otlp_grpc_log_exporter",
            (Protocol::HttpProtobuf, Signal::Traces) => "otlp_http_span_exporter",
            (Protocol::HttpProtobuf, Signal::Metrics) => "otlp_http_metric_exporter",
            (Protocol::HttpProtobuf, Signal::Logs) => "otlp_http_log_exporter",
        };
        let Self(mut attributes) = Self::new(kind, 0);
        if let Some(host) = otlp.endpoint.host() {
            let default = if otlp.endpoint.scheme_str() == Some("https") { 443 } else { 80 };
            let port = otlp.endpoint.port_u16().unwrap_or(default);
            attributes.push(KeyValue::new(attribute::SERVER_ADDRESS, host.to_owned()));
            attributes.push(KeyValue::new(attribute::SERVER_PORT, i64::from(port)));
        }
        Self(attributes)
    }

    pub(crate) fn attributes(&self) -> &[KeyValue] {
        &self.0
    }

    /// The attributes together with `error.type`.
    pub(crate) fn with_error(&self, error_type: &str) -> Vec<KeyValue> {
        let mut attributes = self.0.clone();
        attributes.push(KeyValue::new(attribute::ERROR_TYPE, error_type.to_owned()));
        attributes
    }
}

/// The queue of a batch processor.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    /// The batch processor.
    pub(crate) processor: Component,
    /// The maximum number of items in the queue.
    pub(crate) capacity: usize,
}

/// Counters for one exporter and its queue.
///
/// After the queue and the exporter have become idle, `submitted = dropped + taken` and `taken = delivered + failed`.
#[derive(Debug)]
pub(crate) struct Delivery {
    item: Item,
    /// The items and their destination, for example `spans to otlp`.
    label: &'static str,
    exporter: Component,
    /// `None` for metrics, which are not queued.
    queue: Option<Queue>,
    submitted: AtomicU64,
    /// The items in the queue. It is a counter of its own because [`submit`](Self::submit) must check and change it in
    /// one step.
    waiting: AtomicU64,
    dropped: AtomicU64,
    taken: AtomicU64,
    delivered: AtomicU64,
    /// The items of failed exports, by `error.type`.
    failed: Mutex<BTreeMap<String, u64>>,
    closed: AtomicBool,
    /// The durations of exports. It is set when there is a meter provider, which is after the exporters exist.
    durations: OnceLock<Histogram<f64>>,
}

impl Delivery {
    pub(crate) fn new(
        item: Item,
        label: &'static str,
        exporter: Component,
        queue: Option<Queue>,
    ) -> Arc<Self> {
        Arc::new(Self {
            item,
            label,
            exporter,
            queue,
            submitted: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failed: Mutex::default(),
            closed: AtomicBool::new(false),
            durations: OnceLock::new(),
        })
    }

    /// Counts a submitted item and reserves its place in the queue. If the queue is full, counts the item as dropped and
    /// returns `false`. The batch processor must then not get the item.
    ///
    /// The batch processor has a queue of the same length, but it does not report how many items wait in it and how many
    /// it dropped. Its queue is never full, because a place becomes free here only after it has become free there.
    pub(crate) fn submit(&self) -> bool {
        self.submitted.fetch_add(1, Ordering::Relaxed);
        let waiting = self.waiting.fetch_add(1, Ordering::Acquire);
        if waiting < self.capacity() {
            return true;
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                queue.capacity = self.capacity(),
                "the queue of {} is full; the items that it drops are counted in otel.sdk.processor.*.processed",
                self.label
            );
        }
        false
    }

    /// Counts items that the exporter takes from the queue.
    pub(crate) fn take(&self, count: u64) {
        self.taken.fetch_add(count, Ordering::Relaxed);
        if self.queue.is_some() {
            self.waiting.fetch_sub(count, Ordering::Release);
        }
    }

    /// Counts items that the exporter took by the result of their export, which is final. `duration` includes all
    /// attempts.
    pub(crate) fn finish(&self, count: u64, duration: Duration, result: &OTelSdkResult) {
        let durations = self.durations.get();
        match result {
            Ok(()) => {
                self.delivered.fetch_add(count, Ordering::Relaxed);
                if let Some(durations) = durations {
                    durations.record(duration.as_secs_f64(), self.exporter.attributes());
                }
            }
            Err(error) => {
                let error_type = failure::error_type(error);
                if let Some(durations) = durations {
                    durations.record(duration.as_secs_f64(), &self.exporter.with_error(&error_type));
                }
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed.entry(error_type).or_default() += count;
            }
        }
    }

    /// Records the durations of exports in `histogram` from now on.
    pub(crate) fn record_durations(&self, histogram: Histogram<f64>) {
        // The value is set only once, because a process starts telemetry only once.
        let _ = self.durations.set(histogram);
    }

    /// Marks the exporter as closed. The code that submits log records checks [`is_closed`](Self::is_closed) and then
    /// submits nothing more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Describes the loss, for example `7 of 120 spans to otlp`. Returns `None` if everything was delivered.
    pub(crate) fn describe_loss(&self) -> Option<String> {
        let (submitted, delivered) = (self.submitted(), self.delivered());
        (submitted > delivered).then(|| format!("{} of {submitted} {}", submitted - delivered, self.label))
    }

    pub(crate) fn item(&self) -> Item {
        self.item
    }

    pub(crate) fn exporter(&self) -> &Component {
        &self.exporter
    }

    pub(crate) fn queue(&self) -> Option<&Queue> {
        self.queue.as_ref()
    }

    /// The number of items that were submitted, including those that the full queue dropped.
    pub(crate) fn submitted(&self) -> u64 {
        self.submitted.load(Ordering::Relaxed)
    }

    /// The number of items in the queue.
    pub(crate) fn waiting(&self) -> u64 {
        // While `submit` drops an item, the counter is too high for a moment.
        self.waiting.load(Ordering::Relaxed).min(self.capacity())
    }

    /// The number of items that the full queue dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The number of items that the exporter has taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// The number of items that the receiver has acknowledged.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// The number of items of failed exports, by `error.type`.
    pub(crate) fn failed(&self) -> BTreeMap<String, u64> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of items whose export has not finished.
    pub(crate) fn in_flight(&self) -> u64 {
        let finished = self.delivered() + self.failed().values().sum::<u64>();
        self.taken().saturating_sub(finished)
    }

    fn capacity(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.capacity as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::error::OTelSdkError;

    fn delivery(capacity: usize) -> Arc<Delivery> {
        let queue = Queue { processor: Component::new("batching_span_processor", 0), capacity };
        Delivery::new(Item::Span, "spans to test", Component::new("test", 0), Some(queue))
    }

    #[test]
    fn counts_each_item_in_one_place() {
        let delivery = delivery(3);
        let accepted: Vec<_> = (0..5).map(|_| delivery.submit()).collect();
        assert_eq!(accepted, [true, true, true, false, false]);
        assert_eq!((delivery.waiting(), delivery.dropped()), (3, 2));

        delivery.take(2);
        assert_eq!((delivery.waiting(), delivery.taken(), delivery.in_flight()), (1, 2, 2));
        assert!(delivery.submit(), "the exporter took items, so the queue has room");

        delivery.finish(2, Duration::ZERO, &Ok(()));
        delivery.take(2);
        delivery.finish(2, Duration::ZERO, &Err(OTelSdkError::Timeout(Duration::ZERO)));
        assert_eq!((delivery.waiting(), delivery.in_flight()), (0, 0));
        assert_eq!((delivery.submitted(), delivery.delivered()), (6, 2));
        assert_eq!(delivery.failed(), BTreeMap::from([("timeout".to_owned(), 2)]));
        assert_eq!(delivery.describe_loss().as_deref(), Some("4 of 6 spans to test"));
    }

    #[test]
    fn the_queue_never_holds_more_than_its_capacity() {
        const THREADS: u64 = 4;
        const ITEMS: u64 = 20_000;
        let delivery = delivery(8);
        // The queue of a batch processor.
        let (sender, receiver) = std::sync::mpsc::sync_channel(8);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                let sender = sender.clone();
                let delivery = &delivery;
                scope.spawn(move || {
                    for _ in 0..ITEMS {
                        if delivery.submit() {
                            sender.try_send(()).expect("the queue has a place for each accepted item");
                        }
                    }
                });
            }
            drop(sender);
            while receiver.recv().is_ok() {
                delivery.take(1);
                delivery.finish(1, Duration::ZERO, &Ok(()));
            }
        });
        assert_eq!(delivery.submitted(), THREADS * ITEMS);
        assert_eq!(delivery.delivered() + delivery.dropped(), THREADS * ITEMS);
        assert_eq!((delivery.waiting(), delivery.in_flight()), (0, 0));
    }
}
