//! The metrics of the SDK about itself. The tests read them as Prometheus does, so they also check the names in
//! `docs/telemetry.md`.

use std::collections::BTreeSet;

use super::*;
use crate::testing::{Attributes, expected};
use opentelemetry::logs::{Logger as _, LoggerProvider as _};
use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use prometheus::proto::{Metric, MetricFamily};

/// Telemetry, and the registry with its metrics.
struct Measured {
    signals: Signals,
    registry: Registry,
}

impl Measured {
    fn start<const N: usize>(port: u16, more: [(&str, &str); N]) -> Self {
        Self::start_with(port, more, Extensions::default())
    }

    fn start_with<const N: usize>(port: u16, more: [(&str, &str); N], extensions: Extensions) -> Self {
        let registry = Registry::default();
        let signals = start_signals(port, more, extensions, &registry);
        Self { signals, registry }
    }

    /// The series of a metric: labels and values. The value of a histogram is the number of recorded values.
    fn series(&self, name: &str) -> Vec<(Attributes, i64)> {
        let families = self.registry.gather();
        let metrics =
            families.iter().filter(|family| family.name() == name).flat_map(MetricFamily::get_metric);
        let mut series: Vec<_> = metrics
            .map(|metric| {
                let labels = metric.get_label().iter();
                let labels = labels.filter(|label| !label.name().starts_with("otel_scope_"));
                let labels =
                    labels.map(|label| (label.name().to_owned(), label.value().to_owned())).collect();
                let value = metric.get_counter().get_value() + metric.get_gauge().get_value();
                #[expect(clippy::cast_possible_truncation, reason = "the values are small whole numbers")]
                let value = value as i64;
                (labels, value + i64::try_from(metric.get_histogram().get_sample_count()).unwrap())
            })
            .collect();
        series.sort();
        series
    }

    /// The sum of the series with all these labels.
    fn value<const N: usize>(&self, name: &str, labels: [(&str, &str); N]) -> i64 {
        let labels = expected(labels);
        let has = |found: &Attributes| labels.iter().all(|(name, value)| found.get(name) == Some(value));
        self.series(name).iter().filter(|(found, _)| has(found)).map(|(_, value)| value).sum()
    }

    /// The sum of the series without the label `error_type`.
    fn successes(&self, name: &str) -> i64 {
        let series = self.series(name);
        series.iter().filter(|(labels, _)| !labels.contains_key("error_type")).map(|(_, value)| value).sum()
    }

    /// Waits until the sum of all series of a metric is `value`.
    #[track_caller]
    fn wait_for(&self, name: &str, value: i64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.value(name, []) != value {
            assert!(Instant::now() < deadline, "{name} is not {value}: {:?}", self.series(name));
            thread::sleep(Duration::from_millis(1));
        }
    }
}

const STARTED: &str = "otel_sdk_span_started_total";
const LIVE: &str = "otel_sdk_span_live";
const PROCESSED: &str = "otel_sdk_processor_span_processed_total";
const QUEUE_SIZE: &str = "otel_sdk_processor_span_queue_size";
const EXPORTED: &str = "otel_sdk_exporter_span_exported_total";
const IN_FLIGHT: &str = "otel_sdk_exporter_span_inflight";
const DURATION: &str = "otel_sdk_exporter_operation_duration_seconds";
const QUEUE_FULL: (&str, &str) = ("error_type", "queue_full");

#[test]
fn exported_and_dropped_items_are_all_items_under_load() {
    const THREADS: i64 = 4;
    const EACH: i64 = 3_000;
    const ALL: i64 = THREADS * EACH;
    let collector = FakeCollector::start();
    let measured = Measured::start(
        collector.port(),
        [("OTEL_BSP_MAX_QUEUE_SIZE", "64"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "64")],
    );
    let logger = measured.signals.logs.as_ref().unwrap().logger("test");
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    make_spans(&measured.signals, 1);
                    logger.emit(logger.create_log_record());
                }
            });
        }
        // The values do not contradict each other while they change.
        for _ in 0..20 {
            let ended = measured.value(PROCESSED, []);
            assert!(ended <= measured.value(STARTED, []));
            assert!((0..=64).contains(&measured.value(QUEUE_SIZE, [])));
            assert!(measured.value(LIVE, []) >= 0);
        }
    });
    for (name, value) in [(STARTED, ALL), (LIVE, 0), (QUEUE_SIZE, 0), (IN_FLIGHT, 0)] {
        measured.wait_for(name, value);
    }
    let exported = measured.successes(EXPORTED);
    assert_eq!(exported + measured.value(PROCESSED, [QUEUE_FULL]), ALL);
    assert_eq!(measured.successes(PROCESSED), exported);
    assert_eq!(i64::try_from(collector.spans()), Ok(exported));

    measured.wait_for("otel_sdk_log_created_total", ALL);
    measured.wait_for("otel_sdk_processor_log_queue_size", 0);
    measured.wait_for("otel_sdk_exporter_log_inflight", 0);
    let dropped = measured.value("otel_sdk_processor_log_processed_total", [QUEUE_FULL]);
    assert_eq!(measured.successes("otel_sdk_exporter_log_exported_total") + dropped, ALL);

    measured.signals.metrics.force_flush().unwrap();
    assert!(measured.successes("otel_sdk_exporter_metric_data_point_exported_total") > 10);
    measured.wait_for("otel_sdk_exporter_metric_data_point_inflight", 0);
    for component in ["otlp_grpc_span_exporter", "otlp_grpc_log_exporter", "otlp_grpc_metric_exporter"] {
        assert!(measured.value(DURATION, [("otel_component_type", component)]) > 0, "{component}");
    }
    let lost = measured.signals.shutdown(Duration::from_secs(5));
    let spans = lost.iter().find(|lost| lost.ends_with("spans to otlp"));
    let expected = (exported < ALL).then(|| format!("{} of {ALL} spans to otlp", ALL - exported));
    assert_eq!(spans, expected.as_ref());
}

#[test]
fn a_full_queue_is_reported_while_the_process_runs() {
    // This listener accepts connections but never sends anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let measured =
        Measured::start(port, [("OTEL_BSP_MAX_QUEUE_SIZE", "4"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")]);
    make_spans(&measured.signals, 4);
    measured.wait_for(IN_FLIGHT, 4);
    make_spans(&measured.signals, 6);
    let open = measured.signals.traces.tracer("test").start("not ended");

    let component = [
        ("otel_component_name", "batching_span_processor/0"),
        ("otel_component_type", "batching_span_processor"),
    ];
    let dropped = expected([component[0], component[1], QUEUE_FULL]);
    let component = expected(component);
    assert_eq!(measured.series(PROCESSED), [(dropped, 2), (component.clone(), 4)]);
    assert_eq!(measured.series(QUEUE_SIZE), [(component.clone(), 4)]);
    assert_eq!(measured.series("otel_sdk_processor_span_queue_capacity"), [(component, 4)]);
    let sampled = ("otel_span_sampling_result", "RECORD_AND_SAMPLE");
    assert_eq!(measured.series(LIVE), [(expected([sampled]), 1)]);
    assert_eq!(measured.series(STARTED), [(expected([("otel_span_parent_origin", "none"), sampled]), 11)]);
    let exporter = expected([
        ("otel_component_name", "otlp_grpc_span_exporter/0"),
        ("otel_component_type", "otlp_grpc_span_exporter"),
        ("server_address", "127.0.0.1"),
        ("server_port", &port.to_string()),
    ]);
    assert_eq!(measured.series(EXPORTED), [(exporter, 0)]);
    drop(open);
    let lost = measured.signals.shutdown(Duration::from_millis(100));
    assert!(lost.contains(&"11 of 11 spans to otlp".to_owned()), "{lost:?}");
}

#[test]
fn a_failed_export_has_the_class_of_its_error() {
    // A server that refuses all requests.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 10_000]);
            let response = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = connection.write_all(response);
        }
    });
    for (protocol, port, error_type) in [
        ("grpc", free_port(), "UNAVAILABLE"),
        ("http/protobuf", free_port(), "network_error"),
        ("http/protobuf", refusing, "400"),
    ] {
        let measured = Measured::start(
            port,
            [
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_BSP_SCHEDULE_DELAY", "1"),
                ("OTEL_BSP_EXPORT_TIMEOUT", "50"),
            ],
        );
        make_spans(&measured.signals, 7);
        measured.wait_for(EXPORTED, 7);
        let series = measured.series(EXPORTED);
        assert_eq!(measured.value(EXPORTED, [("error_type", error_type)]), 7, "{series:?}");
        let name = format!("otlp_{}_span_exporter/0", protocol.split('/').next().unwrap());
        let failed = [("error_type", error_type), ("otel_component_name", name.as_str())];
        assert!(measured.value(DURATION, failed) >= 1, "{:?}", measured.series(DURATION));
        // The processor passed the spans on, so it has not failed.
        assert_eq!((measured.successes(PROCESSED), measured.value(PROCESSED, [QUEUE_FULL])), (7, 0));
        let lost = measured.signals.shutdown(Duration::from_millis(100));
        assert!(lost.contains(&"7 of 7 spans to otlp".to_owned()), "{lost:?}");
    }
}

/// Decides by the name of the span.
#[derive(Clone, Debug)]
struct ByName;

impl ShouldSample for ByName {
    fn should_sample(
        &self,
        _parent: Option<&Context>,
        _trace_id: TraceId,
        name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let decision = match name {
            "exported" => SamplingDecision::RecordAndSample,
            "recorded" => SamplingDecision::RecordOnly,
            _ => SamplingDecision::Drop,
        };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::NONE }
    }
}

#[test]
fn only_sampled_spans_are_exported_and_all_are_counted() {
    let collector = FakeCollector::start();
    let mut extensions = Extensions::default();
    extensions.traces.sampler = Some(ByName.into());
    let measured = Measured::start_with(collector.port(), [], extensions);
    let tracer = measured.signals.traces.tracer("test");
    let open = tracer.start("recorded");
    for name in ["exported", "recorded", "dropped", "dropped"] {
        tracer.start(name).end();
    }
    let result = |result| [("otel_span_sampling_result", result)];
    for (name, started, live) in [("RECORD_AND_SAMPLE", 1, 0), ("RECORD_ONLY", 2, 1), ("DROP", 2, 0)] {
        assert_eq!(measured.value(STARTED, result(name)), started, "{name}");
        assert_eq!(measured.value(LIVE, result(name)), live, "{name}");
    }
    drop(open);
    assert_eq!(measured.signals.shutdown(Duration::from_secs(5)), Vec::<String>::new());
    assert_eq!(collector.spans(), 1);
}

/// A short process exports its metrics only once, at its end.
#[test]
fn the_last_metrics_count_the_last_spans() {
    let collector = FakeCollector::start();
    let measured = Measured::start(collector.port(), []);
    make_spans(&measured.signals, 100);
    assert_eq!(measured.signals.shutdown(Duration::from_secs(5)), Vec::<String>::new());
    let received = collector.received();
    let scopes = received
        .metrics
        .iter()
        .flat_map(|request| &request.resource_metrics)
        .flat_map(|resource| &resource.scope_metrics);
    let mut exported = scopes
        .flat_map(|scope| &scope.metrics)
        .filter(|metric| metric.name == "otel.sdk.exporter.span.exported")
        .filter_map(|metric| match metric.data.as_ref()? {
            metric::Data::Sum(sum) => sum.data_points.first()?.value,
            _ => None,
        });
    assert_eq!(exported.next_back(), Some(number_data_point::Value::AsInt(100)));
}

/// No label can have a value from a request.
#[test]
fn labels_have_no_data_of_users() {
    let collector = FakeCollector::start();
    let more =
        [("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret"), ("OTEL_TRACES_EXPORTER", "otlp,console")];
    let measured = Measured::start(collector.port(), more);
    let mut span = measured.signals.traces.tracer("test").start("ada@example.org");
    span.set_attribute(KeyValue::new("user.email", "ada@example.org"));
    span.end();
    let _ = measured.signals.traces.force_flush();
    let families = measured.registry.gather();
    let families = families.iter().filter(|family| family.name().starts_with("otel_sdk_"));
    let labels = families.flat_map(MetricFamily::get_metric).flat_map(Metric::get_label);
    let labels: BTreeSet<_> = labels.map(|label| (label.name(), label.value())).collect();
    let names: BTreeSet<_> = labels.iter().map(|(name, _)| *name).collect();
    let known = [
        "otel_component_name",
        "otel_component_type",
        "error_type",
        "server_address",
        "server_port",
        "otel_span_parent_origin",
        "otel_span_sampling_result",
        "otel_scope_name",
        "otel_scope_version",
        "otel_scope_schema_url",
    ];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    assert!(!labels.iter().any(|(_, value)| value.contains("ada") || value.contains("secret")), "{labels:?}");
    assert!(labels.contains(&("otel_component_name", "batching_span_processor/1")), "{labels:?}");
    let _ = measured.signals.shutdown(Duration::from_secs(5));
}
