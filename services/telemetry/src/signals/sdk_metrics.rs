//! The metrics of the SDK about itself: how many spans, log records and data points it created, queued, dropped and
//! exported.
//!
//! Almost all instruments are observable: they read the counters that the delivery keeps in any case, when metrics are
//! collected. Only the duration of exports is recorded, on the export thread. So none of them costs a request anything.
//!
//! Source: [Semantic conventions for OpenTelemetry SDK metrics], version 1.42, whose stability is "development". The
//! table in `docs/telemetry.md` says which of them do not exist here.
//!
//! [Semantic conventions for OpenTelemetry SDK metrics]: https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use opentelemetry_semantic_conventions::{attribute, metric};

use crate::delivery::count::{Delivery, Item};
use crate::signals::sampling::{RECORD_AND_SAMPLE, RECORD_ONLY, SpanCounts};
use crate::signals::scope::CALL_BUCKETS;

/// The `error.type` of an item for which the queue had no room.
const QUEUE_FULL: &str = "queue_full";

/// The metrics about the items of one kind.
struct Names {
    unit: &'static str,
    /// The batch processor: processed items, and the size and capacity of its queue. `None` for data points.
    processor: Option<[&'static str; 3]>,
    exported: &'static str,
    in_flight: &'static str,
}

const SPANS: Names = Names {
    unit: "{span}",
    processor: Some([
        metric::OTEL_SDK_PROCESSOR_SPAN_PROCESSED,
        metric::OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE,
        metric::OTEL_SDK_PROCESSOR_SPAN_QUEUE_CAPACITY,
    ]),
    exported: metric::OTEL_SDK_EXPORTER_SPAN_EXPORTED,
    in_flight: metric::OTEL_SDK_EXPORTER_SPAN_INFLIGHT,
};

const LOG_RECORDS: Names = Names {
    unit: "{log_record}",
    processor: Some([
        metric::OTEL_SDK_PROCESSOR_LOG_PROCESSED,
        metric::OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE,
        metric::OTEL_SDK_PROCESSOR_LOG_QUEUE_CAPACITY,
    ]),
    exported: metric::OTEL_SDK_EXPORTER_LOG_EXPORTED,
    in_flight: metric::OTEL_SDK_EXPORTER_LOG_INFLIGHT,
};

const DATA_POINTS: Names = Names {
    unit: "{data_point}",
    processor: None,
    exported: metric::OTEL_SDK_EXPORTER_METRIC_DATA_POINT_EXPORTED,
    in_flight: metric::OTEL_SDK_EXPORTER_METRIC_DATA_POINT_INFLIGHT,
};

/// Creates the instruments about these counters: of the started spans, and of the exporters of all signals.
pub(crate) fn register(meter: &Meter, spans: &Arc<SpanCounts>, deliveries: &[Arc<Delivery>]) {
    let of = |item| -> Vec<_> { deliveries.iter().filter(|of| of.item() == item).cloned().collect() };
    for (item, names) in [(Item::Span, SPANS), (Item::LogRecord, LOG_RECORDS), (Item::DataPoint, DATA_POINTS)]
    {
        let deliveries = of(item);
        if !deliveries.is_empty() {
            register_delivery(meter, &names, &deliveries.into());
        }
    }
    register_spans(meter, spans, of(Item::Span).first());
    if let Some(delivery) = of(Item::LogRecord).pop() {
        meter
            .u64_observable_counter(metric::OTEL_SDK_LOG_CREATED)
            .with_unit(LOG_RECORDS.unit)
            .with_description("The number of log records submitted to the SDK.")
            .with_callback(move |observer| observer.observe(delivery.submitted(), &[]))
            .build();
    }

    let durations = meter
        .f64_histogram(metric::OTEL_SDK_EXPORTER_OPERATION_DURATION)
        .with_unit("s")
        .with_description("The duration of exporting a batch, all attempts included.")
        .with_boundaries(CALL_BUCKETS.to_vec())
        .build();
    for delivery in deliveries {
        delivery.record_durations(durations.clone());
    }
}

/// A live span is a span that was started and has not ended. A span ends when it is submitted to an exporter, so without
/// an exporter, the number of live spans is unknown.
fn register_spans(meter: &Meter, spans: &Arc<SpanCounts>, first: Option<&Arc<Delivery>>) {
    let counts = Arc::clone(spans);
    meter
        .u64_observable_counter(metric::OTEL_SDK_SPAN_STARTED)
        .with_unit(SPANS.unit)
        .with_description("The number of created spans.")
        .with_callback(move |observer| {
            for (origin, result, count) in counts.started() {
                let origin = KeyValue::new(attribute::OTEL_SPAN_PARENT_ORIGIN, origin);
                observer.observe(count, &[origin, sampling_result(result)]);
            }
        })
        .build();
    let Some(delivery) = first.cloned() else { return };
    let counts = Arc::clone(spans);
    meter
        .i64_observable_up_down_counter(metric::OTEL_SDK_SPAN_LIVE)
        .with_unit(SPANS.unit)
        .with_description("The number of recorded spans that have not ended.")
        .with_callback(move |observer| {
            // The ended spans are read first, because each of them was started before.
            let ended = [(RECORD_ONLY, counts.ended_unsampled()), (RECORD_AND_SAMPLE, delivery.submitted())];
            for (result, ended) in ended {
                let started = counts.started_with(result);
                if started > 0 {
                    observer.observe(signed(started.saturating_sub(ended)), &[sampling_result(result)]);
                }
            }
        })
        .build();
}

fn sampling_result(result: &'static str) -> KeyValue {
    KeyValue::new(attribute::OTEL_SPAN_SAMPLING_RESULT, result)
}

fn register_delivery(meter: &Meter, names: &Names, deliveries: &Arc<[Arc<Delivery>]>) {
    let Names { unit, processor, exported, in_flight } = *names;
    if let Some([processed, size, capacity]) = processor {
        let description = "The number of items that the processor passed to the exporter or dropped.";
        counter(meter, processed, unit, description, deliveries, |delivery, observer| {
            if let Some(queue) = delivery.queue() {
                observer.observe(delivery.taken(), queue.processor.attributes());
                observer.observe(delivery.dropped(), &queue.processor.with_error(QUEUE_FULL));
            }
        });
        let description = "The number of items in the queue.";
        up_down_counter(meter, size, unit, description, deliveries, |delivery, observer| {
            if let Some(queue) = delivery.queue() {
                observer.observe(signed(delivery.waiting()), queue.processor.attributes());
            }
        });
        let description = "The maximum number of items in the queue.";
        up_down_counter(meter, capacity, unit, description, deliveries, |delivery, observer| {
            if let Some(queue) = delivery.queue() {
                observer.observe(signed(queue.capacity as u64), queue.processor.attributes());
            }
        });
    }
    let description = "The number of items whose export has finished.";
    counter(meter, exported, unit, description, deliveries, |delivery, observer| {
        observer.observe(delivery.delivered(), delivery.exporter().attributes());
        for (error_type, count) in delivery.failed() {
            observer.observe(count, &delivery.exporter().with_error(&error_type));
        }
    });
    let description = "The number of items whose export has not finished.";
    up_down_counter(meter, in_flight, unit, description, deliveries, |delivery, observer| {
        observer.observe(signed(delivery.in_flight()), delivery.exporter().attributes());
    });
}

/// Creates a counter that calls `observe` for each of `deliveries`.
fn counter(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    deliveries: &Arc<[Arc<Delivery>]>,
    observe: impl Fn(&Delivery, &dyn AsyncInstrument<u64>) + Send + Sync + 'static,
) {
    let deliveries = Arc::clone(deliveries);
    meter
        .u64_observable_counter(name)
        .with_unit(unit)
        .with_description(description)
        .with_callback(move |observer| deliveries.iter().for_each(|delivery| observe(delivery, observer)))
        .build();
}

/// Creates an up-down counter that calls `observe` for each of `deliveries`.
fn up_down_counter(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    deliveries: &Arc<[Arc<Delivery>]>,
    observe: impl Fn(&Delivery, &dyn AsyncInstrument<i64>) + Send + Sync + 'static,
) {
    let deliveries = Arc::clone(deliveries);
    meter
        .i64_observable_up_down_counter(name)
        .with_unit(unit)
        .with_description(description)
        .with_callback(move |observer| deliveries.iter().for_each(|delivery| observe(delivery, observer)))
        .build();
}

/// The conventions ask for up-down counters, and those of OpenTelemetry are signed.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
