//! Every environment variable the library reads, in one place: name, default, meaning.
//!
//! `docs/settings.md` is made from [`VARIABLES`], and a test compares the two.

/// One environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds where it is unset, as a person would write it.
    pub default: &'static str,
    /// What it is for, its unit and its accepted values.
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($constant:ident = $name:literal, $default:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)*

        /// All of them, in the order of the documentation.
        pub const VARIABLES: &[Variable] = &[
            $(Variable { name: $name, default: $default, meaning: $meaning },)*
        ];
    };
}

variables! {
    SDK_DISABLED = "OTEL_SDK_DISABLED", "false", "`true` turns traces, metrics and logs over OTLP off; context is still passed on and the console still logs.";
    SERVICE_NAME = "OTEL_SERVICE_NAME", "the program's name", "`service.name` of the resource.";
    RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES", "none", "Attributes of the resource, `key=value,key=value`, percent-encoded. They win over what is detected.";
    PROPAGATORS = "OTEL_PROPAGATORS", "tracecontext,baggage", "How context crosses a process: `tracecontext`, `baggage`, `b3`, `b3multi`, `none`, comma-separated.";
    TRACES_SAMPLER = "OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "`always_on`, `always_off`, `traceidratio`, and each with `parentbased_` before it.";
    TRACES_SAMPLER_ARG = "OTEL_TRACES_SAMPLER_ARG", "0.1", "The share of traces that a ratio sampler keeps, 0 to 1.";
    TRACES_EXPORTER = "OTEL_TRACES_EXPORTER", "otlp", "`otlp`, `console`, `none`; several comma-separated.";
    METRICS_EXPORTER = "OTEL_METRICS_EXPORTER", "otlp,prometheus", "`otlp`, `prometheus` (`/metrics` on the admin port), `console`, `none`; several comma-separated.";
    LOGS_EXPORTER = "OTEL_LOGS_EXPORTER", "otlp,console", "`otlp`, `console` (lines on standard output), `none`; several comma-separated.";
    OTLP_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "`grpc` or `http/protobuf`.";
    OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318, or :4317 for grpc", "Where telemetry goes. `https` means TLS. Over HTTP, `/v1/traces` and so on is added.";
    OTLP_INSECURE = "OTEL_EXPORTER_OTLP_INSECURE", "false", "For a gRPC endpoint written without a scheme: `true` means no TLS.";
    OTLP_CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE", "the system's roots", "PEM file of the authorities the server's certificate is checked against. Read again when it changes.";
    OTLP_CLIENT_CERTIFICATE = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "none", "PEM file of the client's certificate and chain, for mutual TLS. Read again when it changes.";
    OTLP_CLIENT_KEY = "OTEL_EXPORTER_OTLP_CLIENT_KEY", "none", "PEM file of the client's private key. Read again when it changes.";
    OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS", "none", "Headers of each export, `key=value,key=value`, percent-encoded. Never shown.";
    OTLP_COMPRESSION = "OTEL_EXPORTER_OTLP_COMPRESSION", "none", "`gzip` or `none`.";
    OTLP_TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT", "10000", "Milliseconds for one attempt to export a batch.";
    OTLP_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative", "`cumulative`, `delta` or `lowmemory`.";
    BSP_SCHEDULE_DELAY = "OTEL_BSP_SCHEDULE_DELAY", "5000", "Milliseconds a span waits for its batch to fill.";
    BSP_EXPORT_TIMEOUT = "OTEL_BSP_EXPORT_TIMEOUT", "30000", "Milliseconds for a batch of spans, its repeated attempts included.";
    BSP_MAX_QUEUE_SIZE = "OTEL_BSP_MAX_QUEUE_SIZE", "2048", "Spans that may wait. More are lost, counted and said.";
    BSP_MAX_EXPORT_BATCH_SIZE = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512", "Spans in a batch, not more than the queue holds.";
    BLRP_SCHEDULE_DELAY = "OTEL_BLRP_SCHEDULE_DELAY", "1000", "Milliseconds a log record waits for its batch to fill.";
    BLRP_EXPORT_TIMEOUT = "OTEL_BLRP_EXPORT_TIMEOUT", "30000", "Milliseconds for a batch of log records, its repeated attempts included.";
    BLRP_MAX_QUEUE_SIZE = "OTEL_BLRP_MAX_QUEUE_SIZE", "2048", "Log records that may wait. More are lost, counted and said.";
    BLRP_MAX_EXPORT_BATCH_SIZE = "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "512", "Log records in a batch, not more than the queue holds.";
    METRIC_EXPORT_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL", "60000", "Milliseconds between two exports of metrics.";
    METRIC_EXPORT_TIMEOUT = "OTEL_METRIC_EXPORT_TIMEOUT", "30000", "Milliseconds for one export of metrics, its repeated attempts included.";
    ATTRIBUTE_VALUE_LENGTH_LIMIT = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "no limit", "Characters of an attribute's text, on spans and log records; more are cut.";
    ATTRIBUTE_COUNT_LIMIT = "OTEL_ATTRIBUTE_COUNT_LIMIT", "128", "Attributes of a span or a log record; more are dropped and counted.";
    SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT = "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "the general limit", "The same, for spans, their events and links.";
    SPAN_ATTRIBUTE_COUNT_LIMIT = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "the general limit", "Attributes of a span.";
    SPAN_EVENT_COUNT_LIMIT = "OTEL_SPAN_EVENT_COUNT_LIMIT", "128", "Events of a span.";
    SPAN_LINK_COUNT_LIMIT = "OTEL_SPAN_LINK_COUNT_LIMIT", "128", "Links of a span.";
    EVENT_ATTRIBUTE_COUNT_LIMIT = "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "128", "Attributes of a span's event.";
    LINK_ATTRIBUTE_COUNT_LIMIT = "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "128", "Attributes of a span's link.";
    LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT = "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "the general limit", "Characters of a log record's attribute.";
    LOGRECORD_ATTRIBUTE_COUNT_LIMIT = "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "the general limit", "Attributes of a log record.";
    PROMETHEUS_HOST = "OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1", "The admin port's address: `/metrics`, `/livez`, `/readyz`.";
    PROMETHEUS_PORT = "OTEL_EXPORTER_PROMETHEUS_PORT", "2112", "The admin port's number; 0 takes a free one and logs it.";
    LOG_LEVEL = "OTEL_LOG_LEVEL", "info", "The least level that is logged, where `RUST_LOG` is unset.";
    RUST_LOG = "RUST_LOG", "info", "Which log records are kept, by target and level, in the syntax of tracing-subscriber.";
    LOG_FORMAT = "SIGHTLINE_LOG_FORMAT", "text on a terminal, else json", "The console's log lines: `json` or `text`.";
    LOG_SPANS = "SIGHTLINE_LOG_SPANS", "false", "`true` logs each finished span on a line of its own.";
    BAGGAGE_ATTRIBUTES = "SIGHTLINE_BAGGAGE_ATTRIBUTES", "none", "Baggage entries that become attributes of each span, comma-separated keys.";
    KUBERNETES_API = "SIGHTLINE_KUBERNETES_API", "true", "`false` asks the API server nothing: for pods that may not reach it, which would wait two seconds for it at each start, or that shall not.";
    KUBERNETES_HOST = "KUBERNETES_SERVICE_HOST", "unset outside a cluster", "The API server's address, which Kubernetes sets in each pod. Unset, nothing of a cluster is looked for.";
    KUBERNETES_PORT = "KUBERNETES_SERVICE_PORT", "443", "The API server's port, which Kubernetes sets beside its address.";
    TLS_RELOAD_INTERVAL = "SIGHTLINE_TLS_RELOAD_INTERVAL", "10000", "Milliseconds between two looks at the certificate files.";
}

/// `variables` as a table in Markdown, for the documentation.
#[must_use]
pub fn table(variables: &[Variable]) -> String {
    let mut table = String::from("| variable | default | meaning |\n| --- | --- | --- |\n");
    for Variable { name, default, meaning } in variables {
        table.extend(["| `", name, "` | ", default, " | ", meaning, " |\n"]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::VARIABLES;

    #[test]
    fn each_name_stands_once() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len());
    }
}
