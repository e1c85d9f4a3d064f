//! Every environment variable that the library reads: its name, its default and its meaning.
//!
//! Each constant is the name of a variable, and [`VARIABLES`] lists all of them. `docs/settings.md` is generated from
//! [`VARIABLES`], and a test compares the page with [`VARIABLES`]. The code that reads a variable takes the default
//! from the declaration of the variable.
//!
//! Most names, units and defaults come from the OpenTelemetry specification:
//!
//! | variables | section of the specification |
//! | --- | --- |
//! | `OTEL_SDK_DISABLED`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_LOG_LEVEL`, `OTEL_PROPAGATORS`, `OTEL_TRACES_SAMPLER…` | [General SDK configuration] |
//! | `OTEL_BSP_…` | [Batch span processor] |
//! | `OTEL_BLRP_…` | [Batch log record processor] |
//! | `OTEL_ATTRIBUTE_…` | [Attribute limits] |
//! | `OTEL_SPAN_…`, `OTEL_EVENT_…`, `OTEL_LINK_…` | [Span limits] |
//! | `OTEL_LOGRECORD_…` | [Log record limits] |
//! | `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER` | [Exporter selection] |
//! | `OTEL_METRIC_EXPORT_…` | [Periodic exporting metric reader] |
//! | `OTEL_EXPORTER_PROMETHEUS_…` | [Prometheus exporter] |
//! | `OTEL_EXPORTER_OTLP_…` | [OTLP exporter: configuration options] |
//! | `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` | [HTTP server span], in the semantic conventions |
//!
//! Names that begin with `SIGHTLINE_` are the library's own. `RUST_LOG` has the syntax of
//! [`EnvFilter`](tracing_subscriber::EnvFilter). Kubernetes sets `KUBERNETES_SERVICE_HOST` and
//! `KUBERNETES_SERVICE_PORT` in each pod.
//!
//! ```
//! use sightline_telemetry::settings::{MapEnv, Settings, names};
//!
//! let env = MapEnv::from_iter([(names::SERVICE_NAME, "shop"), (names::PROMETHEUS_PORT, "0")]);
//! let settings = Settings::read(&env)?;
//! assert_eq!(settings.resource.service_name.as_deref(), Some("shop"));
//! assert_eq!(settings.admin.port, 0);
//!
//! let variable = names::VARIABLES.iter().find(|variable| variable.name == names::PROMETHEUS_PORT).unwrap();
//! assert_eq!(variable.default, "`2112`");
//! # Ok::<(), sightline_telemetry::settings::SettingsError>(())
//! ```
//!
//! [General SDK configuration]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
//! [Batch span processor]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
//! [Batch log record processor]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-logrecord-processor
//! [Attribute limits]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#attribute-limits
//! [Span limits]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#span-limits
//! [Log record limits]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#logrecord-limits
//! [Exporter selection]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection
//! [Periodic exporting metric reader]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#periodic-exporting-metricreader
//! [Prometheus exporter]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#prometheus-exporter
//! [HTTP server span]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
//! [OTLP exporter: configuration options]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options

use std::borrow::Cow;

/// The documentation of one environment variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// The name of the variable.
    pub name: &'static str,
    /// The value that applies if the variable is unset, in Markdown: a literal in backticks, or a description.
    pub default: Cow<'static, str>,
    /// The purpose of the variable, its unit and its accepted values, in Markdown.
    pub meaning: &'static str,
}

/// Declares environment variables. Each declaration generates
///
/// - a constant with the name of the variable,
/// - an entry in `VARIABLES`,
/// - if the declaration has a type, a constant in `defaults` with the value that applies if the variable is unset.
///   Without a type, the default is a description.
macro_rules! variables {
    ($($(#[doc = $meaning:literal])+ $constant:ident $(: $type:ty)? = $name:literal, $default:literal;)*) => {
        $(
            $(#[doc = $meaning])+
            #[doc = ""]
            #[doc = concat!("Default: ", markdown!($(: $type)? = $default), ".")]
            pub const $constant: &str = $name;
        )*

        /// All variables of the library, in the order of `docs/settings.md`.
        pub const VARIABLES: &[Variable] = &[
            $(Variable {
                name: $name,
                default: Cow::Borrowed(markdown!($(: $type)? = $default)),
                meaning: concat!($($meaning),+).trim_ascii(),
            },)*
        ];

        /// The values that apply to unset variables. The constant of a default has the same name as the constant of
        /// its variable.
        pub(super) mod defaults {
            $($(pub(in crate::settings) const $constant: $type = $default;)?)*
        }
    };
}

/// Converts the default of a declaration to Markdown. A value gets backticks. A description is already Markdown.
macro_rules! markdown {
    (: $type:ty = $default:literal) => {
        concat!("`", $default, "`")
    };
    (= $default:literal) => {
        $default
    };
}

variables! {
    /// `true` turns off traces, metrics and the OTLP export of logs. Context still propagates, and logs still go to the
    /// console.
    SDK_DISABLED: bool = "OTEL_SDK_DISABLED", false;
    /// The `service.name` attribute of the resource.
    SERVICE_NAME = "OTEL_SERVICE_NAME", "the program's name";
    /// Attributes of the resource in the format `key=value,key=value`, percent-encoded. They override detected
    /// attributes.
    RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES", "none";
    /// The formats of the context in headers: `tracecontext`, `baggage`, `b3`, `b3multi` or `none`, comma-separated.
    PROPAGATORS: &str = "OTEL_PROPAGATORS", "tracecontext,baggage";
    /// The head sampler: `always_on`, `always_off` or `traceidratio`, or one of them with the prefix `parentbased_`.
    TRACES_SAMPLER: &str = "OTEL_TRACES_SAMPLER", "parentbased_traceidratio";
    /// The share of traces that a ratio sampler records, from 0 to 1.
    TRACES_SAMPLER_ARG: f64 = "OTEL_TRACES_SAMPLER_ARG", 0.1;
    /// The destinations of spans: `otlp`, `console` or `none`, comma-separated.
    TRACES_EXPORTER: &str = "OTEL_TRACES_EXPORTER", "otlp";
    /// The destinations of metrics: `otlp`, `prometheus` (`/metrics` on the admin port), `console` or `none`,
    /// comma-separated.
    METRICS_EXPORTER: &str = "OTEL_METRICS_EXPORTER", "otlp,prometheus";
    /// The destinations of log records: `otlp`, `console` (lines on standard output) or `none`, comma-separated.
    LOGS_EXPORTER: &str = "OTEL_LOGS_EXPORTER", "otlp,console";
    /// The transport of OTLP: `grpc` or `http/protobuf`.
    OTLP_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL", "`http/protobuf`";
    /// The URL of the collector. `https` means TLS. Over HTTP, the library appends `/v1/traces`, `/v1/metrics` or
    /// `/v1/logs`.
    OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "`http://localhost:4318`, or `http://localhost:4317` for `grpc`";
    /// `true` turns off TLS for a gRPC endpoint that has no scheme. The variable has no effect on other endpoints.
    OTLP_INSECURE: bool = "OTEL_EXPORTER_OTLP_INSECURE", false;
    /// The PEM file with the CA bundle for verifying the server's certificate. The file is reloaded when it changes.
    OTLP_CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE", "the CAs that the system trusts";
    /// The PEM file with the client's certificate chain, for mutual TLS. The file is reloaded when it changes.
    OTLP_CLIENT_CERTIFICATE = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "none";
    /// The PEM file with the client's private key, for mutual TLS. The file is reloaded when it changes.
    OTLP_CLIENT_KEY = "OTEL_EXPORTER_OTLP_CLIENT_KEY", "none";
    /// The headers of each export in the format `key=value,key=value`, percent-encoded. The values are never shown.
    OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS", "none";
    /// The compression of exports: `gzip` or `none`.
    OTLP_COMPRESSION: &str = "OTEL_EXPORTER_OTLP_COMPRESSION", "none";
    /// The timeout of one attempt to export a batch, in milliseconds.
    OTLP_TIMEOUT: u64 = "OTEL_EXPORTER_OTLP_TIMEOUT", 10_000;
    /// The temporality of sums and histograms: `cumulative`, `delta` or `lowmemory`.
    OTLP_TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative";
    /// The maximum time that a span waits for its batch to fill, in milliseconds.
    BSP_SCHEDULE_DELAY: u64 = "OTEL_BSP_SCHEDULE_DELAY", 5_000;
    /// The timeout of the export of a batch of spans, all attempts included, in milliseconds.
    BSP_EXPORT_TIMEOUT: u64 = "OTEL_BSP_EXPORT_TIMEOUT", 30_000;
    /// The maximum number of spans that wait for export. Further spans are lost. Lost spans are counted and reported.
    BSP_MAX_QUEUE_SIZE: usize = "OTEL_BSP_MAX_QUEUE_SIZE", 2_048;
    /// The maximum number of spans in a batch. It must not exceed the size of the queue.
    BSP_MAX_EXPORT_BATCH_SIZE: usize = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512;
    /// The maximum time that a log record waits for its batch to fill, in milliseconds.
    BLRP_SCHEDULE_DELAY: u64 = "OTEL_BLRP_SCHEDULE_DELAY", 1_000;
    /// The timeout of the export of a batch of log records, all attempts included, in milliseconds.
    BLRP_EXPORT_TIMEOUT: u64 = "OTEL_BLRP_EXPORT_TIMEOUT", 30_000;
    /// The maximum number of log records that wait for export. Further records are lost. Lost records are counted and
    /// reported.
    BLRP_MAX_QUEUE_SIZE: usize = "OTEL_BLRP_MAX_QUEUE_SIZE", 2_048;
    /// The maximum number of log records in a batch. It must not exceed the size of the queue.
    BLRP_MAX_EXPORT_BATCH_SIZE: usize = "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", 512;
    /// The time between two exports of metrics, in milliseconds.
    METRIC_EXPORT_INTERVAL: u64 = "OTEL_METRIC_EXPORT_INTERVAL", 60_000;
    /// The timeout of one export of metrics, all attempts included, in milliseconds.
    METRIC_EXPORT_TIMEOUT: u64 = "OTEL_METRIC_EXPORT_TIMEOUT", 30_000;
    /// The maximum length of a text attribute of a span or log record, in characters. Longer texts are truncated.
    ATTRIBUTE_VALUE_LENGTH_LIMIT = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "no limit";
    /// The maximum number of attributes of a span or log record. Further attributes are dropped. A span records how
    /// many attributes were dropped.
    ATTRIBUTE_COUNT_LIMIT: usize = "OTEL_ATTRIBUTE_COUNT_LIMIT", 128;
    /// Like `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`, but only for spans, span events and span links.
    SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT =
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "the value of `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`";
    /// The maximum number of attributes of a span.
    SPAN_ATTRIBUTE_COUNT_LIMIT = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "the value of `OTEL_ATTRIBUTE_COUNT_LIMIT`";
    /// The maximum number of events of a span.
    SPAN_EVENT_COUNT_LIMIT: u32 = "OTEL_SPAN_EVENT_COUNT_LIMIT", 128;
    /// The maximum number of links of a span.
    SPAN_LINK_COUNT_LIMIT: u32 = "OTEL_SPAN_LINK_COUNT_LIMIT", 128;
    /// The maximum number of attributes of a span event.
    EVENT_ATTRIBUTE_COUNT_LIMIT: u32 = "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", 128;
    /// The maximum number of attributes of a span link.
    LINK_ATTRIBUTE_COUNT_LIMIT: u32 = "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", 128;
    /// Like `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`, but only for log records.
    LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT =
        "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "the value of `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`";
    /// The maximum number of attributes of a log record.
    LOGRECORD_ATTRIBUTE_COUNT_LIMIT =
        "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "the value of `OTEL_ATTRIBUTE_COUNT_LIMIT`";
    /// The HTTP methods that spans and metrics name, comma-separated and case-sensitive. Other methods are recorded as
    /// `_OTHER`. The value replaces the default list.
    HTTP_KNOWN_METHODS: &str =
        "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,QUERY,TRACE";
    /// The host name or IP address of the admin port, which serves `/metrics`, `/livez` and `/readyz`.
    PROMETHEUS_HOST: &str = "OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1";
    /// The number of the admin port. With `0` the system chooses a free port, and the service logs it.
    PROMETHEUS_PORT: u16 = "OTEL_EXPORTER_PROMETHEUS_PORT", 2112;
    /// The lowest level that is logged if `RUST_LOG` is unset: `trace`, `debug`, `info`, `warn`, `error` or `off`.
    LOG_LEVEL: &str = "OTEL_LOG_LEVEL", "info";
    /// A filter for log records, by target and level, in the syntax of tracing-subscriber. If `RUST_LOG` is unset and
    /// `OTEL_LOG_LEVEL` is not `info`, the level in `OTEL_LOG_LEVEL` applies to all targets.
    RUST_LOG: &str = "RUST_LOG", "info,opentelemetry=warn";
    /// The format of log lines on the console: `json` or `text`.
    LOG_FORMAT = "SIGHTLINE_LOG_FORMAT", "`text` on a terminal, otherwise `json`";
    /// `true` logs a line for each finished span.
    LOG_SPANS: bool = "SIGHTLINE_LOG_SPANS", false;
    /// The keys of the baggage entries that become attributes of each span, comma-separated.
    BAGGAGE_ATTRIBUTES = "SIGHTLINE_BAGGAGE_ATTRIBUTES", "none";
    /// The networks and IP addresses of the proxies whose headers `Forwarded` and `X-Forwarded-*` name the client of a
    /// request, comma-separated, such as `10.0.0.0/8`. List only proxies that overwrite or extend these headers.
    TRUSTED_PROXIES = "SIGHTLINE_TRUSTED_PROXIES", "none";
    /// `false` turns off requests to the API server. Use `false` for pods that must not or cannot reach the API server.
    /// A pod that cannot reach the API server otherwise waits for two seconds at each start.
    KUBERNETES_API: bool = "SIGHTLINE_KUBERNETES_API", true;
    /// The host name or IP address of the API server. Kubernetes sets this variable in each pod. If it is unset, the
    /// library does not look for a cluster.
    KUBERNETES_HOST = "KUBERNETES_SERVICE_HOST", "unset outside a cluster";
    /// The port of the API server. Kubernetes sets this variable in each pod.
    KUBERNETES_PORT: &str = "KUBERNETES_SERVICE_PORT", "443";
    /// The interval at which the certificate files are checked for changes, in milliseconds.
    TLS_RELOAD_INTERVAL: u64 = "SIGHTLINE_TLS_RELOAD_INTERVAL", 10_000;
    /// How many days before a certificate of the OTLP exporters expires the warnings in the log begin. There is one warning
    /// a day. The time is at most a quarter of the time for which the certificate is valid. An expired certificate is always
    /// logged.
    TLS_EXPIRY_WARNING_DAYS: u16 = "SIGHTLINE_TLS_EXPIRY_WARNING_DAYS", 7;
}

/// Returns `variables` as a table in Markdown.
///
/// ```
/// use sightline_telemetry::settings::names::{Variable, table};
///
/// let workers = Variable { name: "SHOP_WORKERS", default: "`2`".into(), meaning: "The number of workers." };
/// let table = table(&[workers]);
/// assert_eq!(table.lines().last(), Some("| `SHOP_WORKERS` | `2` | The number of workers. |"));
/// ```
#[must_use]
pub fn table(variables: &[Variable]) -> String {
    let mut table = String::from("| variable | default | meaning |\n| --- | --- | --- |\n");
    for Variable { name, default, meaning } in variables {
        table.extend(["| `", name, "` | ", &**default, " | ", meaning, " |\n"]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::VARIABLES;

    #[test]
    fn declares_each_name_once() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len());
    }
}
