//! Tests of settings that need every exporter.

mod documented_defaults;

use super::*;

#[test]
fn uses_the_defaults_if_nothing_is_set() {
    let settings = read([]).unwrap();
    assert!(!settings.disabled);
    assert_eq!(settings.propagators, [Propagator::TraceContext, Propagator::Baggage]);
    assert_eq!(settings.traces.sampling, Sampling { ratio: 0.1, parent_based: true });
    assert_eq!(settings.traces.exporters, [SpanExporterKind::Otlp]);
    assert_eq!(settings.metrics.exporters, [MetricsExporter::Otlp, MetricsExporter::Prometheus]);
    assert_eq!((settings.logs.otlp.is_some(), settings.logs.console.is_some()), (true, true));
    assert_eq!(settings.admin, Admin { host: "127.0.0.1".into(), port: 2112 });
}

#[test]
fn reads_lists_of_exporters() {
    let settings = read([
        ("OTEL_TRACES_EXPORTER", "console, otlp"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ])
    .unwrap();
    assert_eq!(settings.traces.exporters, [SpanExporterKind::Otlp, SpanExporterKind::Console]);
    assert_eq!(settings.metrics.exporters, []);
    assert!(settings.logs.console.is_none());
}
