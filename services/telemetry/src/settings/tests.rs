#[cfg(all(
    feature = "otlp-grpc",
    feature = "otlp-http",
    feature = "prometheus",
    feature = "console",
    feature = "gzip",
    feature = "tls"
))]
mod complete;

use super::*;
use proptest::prelude::*;

fn read<const N: usize>(pairs: [(&str, &str); N]) -> Result<Settings, SettingsError> {
    Settings::read(&MapEnv::from_iter(pairs))
}

#[test]
fn names_the_variable_whose_value_cannot_be_used() {
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_RESOURCE_ATTRIBUTES", "novalue"),
        ("OTEL_PROPAGATORS", "jaeger"),
        ("OTEL_PROPAGATORS", "xray"),
        ("OTEL_PROPAGATORS", "none,b3"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_EXPORTER", "prometheus"),
        ("OTEL_METRICS_EXPORTER", "none,otlp"),
        ("OTEL_LOGS_EXPORTER", "file"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "udp"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sum"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "-1"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1.5"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "many"),
        ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET POST"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "70000"),
        ("OTEL_LOG_LEVEL", "loud"),
        ("RUST_LOG", "my_crate=loud"),
        ("SIGHTLINE_LOG_FORMAT", "xml"),
        ("SIGHTLINE_LOG_SPANS", "on"),
        ("SIGHTLINE_TRUSTED_PROXIES", "proxy"),
        ("SIGHTLINE_KUBERNETES_API", "off"),
    ] {
        let error = read([(name, value)]).expect_err(&format!("{name}={value}"));
        assert_eq!(error.name(), name, "{error}");
    }
}

#[test]
fn finds_a_cluster_only_if_its_host_is_set() {
    assert_eq!(read([("KUBERNETES_SERVICE_PORT", "443")]).unwrap().resource.kubernetes, None);
    let host = ("KUBERNETES_SERVICE_HOST", "10.96.0.1");
    let expected = Kubernetes { host: "10.96.0.1".into(), port: "443".into(), api: true };
    assert_eq!(read([host]).unwrap().resource.kubernetes, Some(expected.clone()));
    let without_api = read([host, ("SIGHTLINE_KUBERNETES_API", "false")]).unwrap().resource.kubernetes;
    assert_eq!(without_api, Some(Kubernetes { api: false, ..expected }));
}

#[test]
fn reads_every_sampler_of_the_specification() {
    for (sampler, argument, ratio, parent_based) in [
        ("always_on", "0.5", 1.0, false),
        ("always_off", "0.5", 0.0, false),
        ("traceidratio", "0.5", 0.5, false),
        ("parentbased_always_on", "0.5", 1.0, true),
        ("parentbased_always_off", "0.5", 0.0, true),
        ("parentbased_traceidratio", "0.25", 0.25, true),
    ] {
        let settings =
            read([("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)]).unwrap();
        assert_eq!(settings.traces.sampling, Sampling { ratio, parent_based }, "{sampler}");
    }
}

proptest! {
    #[test]
    fn accepts_a_value_or_names_its_variable(index in 0..names::VARIABLES.len(), value in "\\PC{0,60}") {
        let name = names::VARIABLES[index].name;
        if let Err(error) = read([(name, value.as_str())]) {
            prop_assert!(error.name() == name, "{} instead of {}", error.name(), name);
        }
    }
}

/// Each value that needs a cargo feature, and the feature, if it is not compiled.
fn values_with_features() -> [(&'static str, &'static str, Option<&'static str>); 9] {
    let missing = |is_compiled: bool, feature| (!is_compiled).then_some(feature);
    let otlp = missing(cfg!(any(feature = "otlp-grpc", feature = "otlp-http")), "otlp-grpc or otlp-http");
    let console = missing(cfg!(feature = "console"), "console");
    [
        ("OTEL_TRACES_EXPORTER", "otlp", otlp),
        ("OTEL_METRICS_EXPORTER", "otlp", otlp),
        ("OTEL_LOGS_EXPORTER", "otlp", otlp),
        ("OTEL_TRACES_EXPORTER", "console", console),
        ("OTEL_METRICS_EXPORTER", "console", console),
        ("OTEL_METRICS_EXPORTER", "prometheus", missing(cfg!(feature = "prometheus"), "prometheus")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", missing(cfg!(feature = "otlp-grpc"), "otlp-grpc")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", missing(cfg!(feature = "otlp-http"), "otlp-http")),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", missing(cfg!(feature = "gzip"), "gzip")),
    ]
}

#[test]
fn names_the_cargo_feature_that_a_value_needs() {
    for (name, value, missing) in values_with_features() {
        match (read([(name, value)]), missing) {
            (Ok(_), None) => {}
            (Err(error), Some(feature)) => {
                assert_eq!(error.name(), name);
                assert!(error.to_string().contains(&format!("cargo feature {feature} of")), "{error}");
            }
            (result, missing) => panic!("{name}={value}: {result:?}, missing feature: {missing:?}"),
        }
    }
    let https = read([("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317")]);
    assert_eq!(https.is_ok(), cfg!(feature = "tls"), "{https:?}");
}

#[test]
fn the_defaults_leave_out_what_is_not_compiled() {
    let settings = read([]).unwrap();
    let has_otlp = cfg!(any(feature = "otlp-grpc", feature = "otlp-http"));
    assert_eq!(settings.traces.exporters.contains(&SpanExporterKind::Otlp), has_otlp);
    assert_eq!(settings.metrics.exporters.contains(&MetricsExporter::Otlp), has_otlp);
    assert_eq!(settings.logs.otlp.is_some(), has_otlp);
    let has_prometheus = settings.metrics.exporters.contains(&MetricsExporter::Prometheus);
    assert_eq!(has_prometheus, cfg!(feature = "prometheus"));
    assert!(settings.logs.console.is_some());
    if cfg!(all(feature = "otlp-grpc", not(feature = "otlp-http"))) {
        assert_eq!(settings.traces.otlp.protocol, Protocol::Grpc);
        assert_eq!(settings.traces.otlp.endpoint, "http://localhost:4317");
    }
}
