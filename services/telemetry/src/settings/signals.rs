//! The settings of each signal.

use std::io::IsTerminal;
use std::time::Duration;

use super::compiled;
use super::env::{Env, SettingsError, flag, list, parse};
use super::names::{self, defaults};
use super::otlp::{Otlp, Signal};
use super::{read_millis, reject_none_in_a_list};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::trace::SpanLimits;
use tracing_subscriber::EnvFilter;

/// The settings of traces: sampling, limits, batches and destinations.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Traces {
    /// The destinations of spans; empty for none. From `OTEL_TRACES_EXPORTER`.
    pub exporters: Vec<SpanExporterKind>,
    /// The head sampler.
    pub sampling: Sampling,
    /// The batches of spans. From `OTEL_BSP_…`.
    pub batch: Batch,
    /// The limits of one span. All of them are counts. From `OTEL_SPAN_…_COUNT_LIMIT`,
    /// `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT` and `OTEL_ATTRIBUTE_COUNT_LIMIT`.
    pub limits: SpanLimits,
    /// The maximum length of a text attribute, in characters; `None` for no limit. From
    /// `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT` and `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`.
    pub value_length: Option<usize>,
    /// The OTLP exporter of spans.
    pub otlp: Otlp,
    /// The keys of the baggage entries that become attributes of each span. From `SIGHTLINE_BAGGAGE_ATTRIBUTES`.
    pub baggage_attributes: Vec<String>,
    /// Whether a line is logged for each finished span. From `SIGHTLINE_LOG_SPANS`.
    pub log_spans: bool,
}

/// A destination of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpanExporterKind {
    /// A collector, `otlp`.
    Otlp,
    /// Standard output, `console`.
    Console,
}

/// The head sampler. From `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
///
/// Source: [Sampling](https://opentelemetry.io/docs/specs/otel/trace/sdk/#sampling).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sampling {
    /// The share of traces that are recorded, from 0 to 1.
    pub ratio: f64,
    /// Whether a span follows the decision of its parent; `ratio` then applies only to spans without a parent.
    pub parent_based: bool,
}

/// The settings of the batches of spans or log records. An item of a batch is a span or a log record.
///
/// Sources: [Batch span processor] and [Batch log record processor].
///
/// [Batch span processor]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
/// [Batch log record processor]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-logrecord-processor
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// The maximum time that an item waits for its batch to fill. From `…_SCHEDULE_DELAY`, in milliseconds.
    pub delay: Duration,
    /// The timeout of the export of a batch, all attempts included. From `…_EXPORT_TIMEOUT`, in milliseconds.
    pub timeout: Duration,
    /// The maximum number of items that wait for export. From `…_MAX_QUEUE_SIZE`.
    pub queue: usize,
    /// The maximum number of items in a batch, at most `queue`. From `…_MAX_EXPORT_BATCH_SIZE`.
    pub size: usize,
}

/// The settings of metrics: their destinations, the interval of exports and the temporality.
///
/// Source: [Periodic exporting metric reader].
///
/// [Periodic exporting metric reader]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#periodic-exporting-metricreader
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// The destinations of metrics; empty for none. From `OTEL_METRICS_EXPORTER`.
    pub exporters: Vec<MetricsExporter>,
    /// The time between two exports. From `OTEL_METRIC_EXPORT_INTERVAL`, in milliseconds.
    pub interval: Duration,
    /// The timeout of one export, all attempts included. From `OTEL_METRIC_EXPORT_TIMEOUT`, in milliseconds.
    pub timeout: Duration,
    /// Whether sums and histograms count since the start (cumulative) or since the last export (delta). From
    /// `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`.
    pub temporality: Temporality,
    /// The OTLP exporter of metrics.
    pub otlp: Otlp,
}

/// A destination of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricsExporter {
    /// A collector, `otlp`.
    Otlp,
    /// `/metrics` on the admin port, `prometheus`.
    Prometheus,
    /// Standard output, `console`.
    Console,
}

/// The settings of logs: filter, limits, batches and destinations.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Logs {
    /// The OTLP exporter of log records; `None` if `OTEL_LOGS_EXPORTER` does not contain `otlp`.
    pub otlp: Option<Otlp>,
    /// The format of lines on standard output; `None` if `OTEL_LOGS_EXPORTER` does not contain `console`. From
    /// `SIGHTLINE_LOG_FORMAT`.
    pub console: Option<LogFormat>,
    /// The batches of log records. From `OTEL_BLRP_…`.
    pub batch: Batch,
    /// The limits of one log record.
    pub limits: RecordLimits,
    /// The filter for log records, in the syntax of [`EnvFilter`]. From `RUST_LOG` and `OTEL_LOG_LEVEL`.
    pub filter: String,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// A JSON object on each line, `json`.
    Json,
    /// Text for people, `text`.
    Text,
}

/// The limits of one log record.
///
/// Source: [Log record limits].
///
/// [Log record limits]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#logrecord-limits
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordLimits {
    /// The maximum number of attributes. From `OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT` and `OTEL_ATTRIBUTE_COUNT_LIMIT`.
    pub attributes: usize,
    /// The maximum length of a text attribute, in characters; `None` for no limit. From
    /// `OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT` and `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`.
    pub value_length: Option<usize>,
}

impl Traces {
    pub(super) fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let kinds = [
            ("otlp", SpanExporterKind::Otlp, compiled::missing_for_otlp()),
            ("console", SpanExporterKind::Console, compiled::missing_for_console()),
        ];
        Ok(Self {
            exporters: read_exporters(env, names::TRACES_EXPORTER, defaults::TRACES_EXPORTER, &kinds)?,
            sampling: read_sampling(env)?,
            batch: read_batch(env, &BSP)?,
            limits: read_span_limits(env)?,
            value_length: read_value_length(env, names::SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT)?,
            otlp: Otlp::read(env, Signal::Traces)?,
            baggage_attributes: list(env, names::BAGGAGE_ATTRIBUTES, ""),
            log_spans: flag(env, names::LOG_SPANS, defaults::LOG_SPANS)?,
        })
    }
}

impl Metrics {
    pub(super) fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let kinds = [
            ("otlp", MetricsExporter::Otlp, compiled::missing_for_otlp()),
            ("prometheus", MetricsExporter::Prometheus, compiled::missing_for_prometheus()),
            ("console", MetricsExporter::Console, compiled::missing_for_console()),
        ];
        Ok(Self {
            exporters: read_exporters(env, names::METRICS_EXPORTER, defaults::METRICS_EXPORTER, &kinds)?,
            interval: read_millis(env, names::METRIC_EXPORT_INTERVAL, defaults::METRIC_EXPORT_INTERVAL)?,
            timeout: read_millis(env, names::METRIC_EXPORT_TIMEOUT, defaults::METRIC_EXPORT_TIMEOUT)?,
            temporality: read_temporality(env)?,
            otlp: Otlp::read(env, Signal::Metrics)?,
        })
    }
}

impl Logs {
    pub(super) fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let kinds = [
            ("otlp", SpanExporterKind::Otlp, compiled::missing_for_otlp()),
            ("console", SpanExporterKind::Console, None),
        ];
        let exporters = read_exporters(env, names::LOGS_EXPORTER, defaults::LOGS_EXPORTER, &kinds)?;
        let otlp = Otlp::read(env, Signal::Logs)?;
        let format = read_log_format(env, std::io::stdout().is_terminal())?;
        Ok(Self {
            otlp: exporters.contains(&SpanExporterKind::Otlp).then_some(otlp),
            console: exporters.contains(&SpanExporterKind::Console).then_some(format),
            batch: read_batch(env, &BLRP)?,
            limits: RecordLimits {
                attributes: read_count(env, names::LOGRECORD_ATTRIBUTE_COUNT_LIMIT)?,
                value_length: read_value_length(env, names::LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT)?,
            },
            filter: read_filter(env)?,
        })
    }
}

/// An exporter that a list can contain: its name, its kind, and the cargo feature that it needs and that is missing.
type Known<K> = (&'static str, K, Option<&'static str>);

/// Reads a list of exporters. Returns the items of `kinds` that the list contains, in the order of `kinds`. `default`
/// applies without the exporters that are not compiled.
fn read_exporters<K: Copy>(
    env: &dyn Env,
    name: &str,
    default: &str,
    kinds: &[Known<K>],
) -> Result<Vec<K>, SettingsError> {
    let is_default = env.get(name).is_none();
    let chosen = list(env, name, default);
    reject_none_in_a_list(name, &chosen)?;
    if let Some(unknown) =
        chosen.iter().find(|item| *item != "none" && !kinds.iter().any(|(kind, ..)| kind == item))
    {
        let known: Vec<_> = kinds.iter().map(|(kind, ..)| *kind).collect();
        return Err(SettingsError::new(
            name,
            unknown,
            format!("use none, or one or more of {}", known.join(", ")),
        ));
    }
    let mut exporters = Vec::new();
    for (kind, exporter, missing) in kinds.iter().filter(|(kind, ..)| chosen.iter().any(|item| item == kind))
    {
        match missing {
            Some(feature) if !is_default => {
                return Err(SettingsError::new(name, kind, compiled::remedy(kind, feature)));
            }
            Some(_) => {}
            None => exporters.push(*exporter),
        }
    }
    Ok(exporters)
}

fn read_sampling(env: &dyn Env) -> Result<Sampling, SettingsError> {
    let remedy = "use a number from 0 to 1, such as 0.1";
    let ratio = parse(env, names::TRACES_SAMPLER_ARG, defaults::TRACES_SAMPLER_ARG, remedy)?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(SettingsError::new(names::TRACES_SAMPLER_ARG, ratio, remedy));
    }
    let sampler = env.get(names::TRACES_SAMPLER).unwrap_or_else(|| defaults::TRACES_SAMPLER.into());
    let (kind, parent_based) = match sampler.strip_prefix("parentbased_") {
        Some(kind) => (kind, true),
        None => (sampler.as_str(), false),
    };
    let ratio = match kind {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => ratio,
        _ => {
            let remedy = "use always_on, always_off or traceidratio, with or without the prefix parentbased_";
            return Err(SettingsError::new(names::TRACES_SAMPLER, sampler, remedy));
        }
    };
    Ok(Sampling { ratio, parent_based })
}

/// The variables of a batch processor, each with its default.
struct BatchVariables {
    delay: (&'static str, u64),
    timeout: (&'static str, u64),
    queue: (&'static str, usize),
    size: (&'static str, usize),
}

const BSP: BatchVariables = BatchVariables {
    delay: (names::BSP_SCHEDULE_DELAY, defaults::BSP_SCHEDULE_DELAY),
    timeout: (names::BSP_EXPORT_TIMEOUT, defaults::BSP_EXPORT_TIMEOUT),
    queue: (names::BSP_MAX_QUEUE_SIZE, defaults::BSP_MAX_QUEUE_SIZE),
    size: (names::BSP_MAX_EXPORT_BATCH_SIZE, defaults::BSP_MAX_EXPORT_BATCH_SIZE),
};

const BLRP: BatchVariables = BatchVariables {
    delay: (names::BLRP_SCHEDULE_DELAY, defaults::BLRP_SCHEDULE_DELAY),
    timeout: (names::BLRP_EXPORT_TIMEOUT, defaults::BLRP_EXPORT_TIMEOUT),
    queue: (names::BLRP_MAX_QUEUE_SIZE, defaults::BLRP_MAX_QUEUE_SIZE),
    size: (names::BLRP_MAX_EXPORT_BATCH_SIZE, defaults::BLRP_MAX_EXPORT_BATCH_SIZE),
};

/// The maximum size of a queue. The SDK allocates the whole queue when it starts, so the size must be limited.
const LARGEST_QUEUE: usize = 1_000_000;

fn read_batch(env: &dyn Env, variables: &BatchVariables) -> Result<Batch, SettingsError> {
    let remedy = format!("use a whole number from 1 to {LARGEST_QUEUE}");
    let read_size = |name, default| match parse(env, name, default, &remedy)? {
        number @ 1..=LARGEST_QUEUE => Ok(number),
        number => Err(SettingsError::new(name, number, remedy.clone())),
    };
    let (queue_name, default_queue) = variables.queue;
    let queue = read_size(queue_name, default_queue)?;
    let (size_name, default_size) = variables.size;
    let size = read_size(size_name, default_size.min(queue))?;
    if size > queue {
        let remedy = format!("use at most {queue}, the value of {queue_name}");
        return Err(SettingsError::new(size_name, size, remedy));
    }
    let (delay_name, default_delay) = variables.delay;
    let (timeout_name, default_timeout) = variables.timeout;
    Ok(Batch {
        delay: read_millis(env, delay_name, default_delay)?,
        timeout: read_millis(env, timeout_name, default_timeout)?,
        queue,
        size,
    })
}

fn read_span_limits(env: &dyn Env) -> Result<SpanLimits, SettingsError> {
    let read = |name, default| parse(env, name, default, "use a whole number");
    let attributes = read_count(env, names::SPAN_ATTRIBUTE_COUNT_LIMIT)?;
    Ok(SpanLimits {
        max_attributes_per_span: u32::try_from(attributes).unwrap_or(u32::MAX),
        max_events_per_span: read(names::SPAN_EVENT_COUNT_LIMIT, defaults::SPAN_EVENT_COUNT_LIMIT)?,
        max_links_per_span: read(names::SPAN_LINK_COUNT_LIMIT, defaults::SPAN_LINK_COUNT_LIMIT)?,
        max_attributes_per_event: read(
            names::EVENT_ATTRIBUTE_COUNT_LIMIT,
            defaults::EVENT_ATTRIBUTE_COUNT_LIMIT,
        )?,
        max_attributes_per_link: read(
            names::LINK_ATTRIBUTE_COUNT_LIMIT,
            defaults::LINK_ATTRIBUTE_COUNT_LIMIT,
        )?,
    })
}

/// Reads the count limit from the variable `own`, or from the general variable if `own` is unset.
fn read_count(env: &dyn Env, own: &str) -> Result<usize, SettingsError> {
    let remedy = "use a whole number of attributes";
    let general = parse(env, names::ATTRIBUTE_COUNT_LIMIT, defaults::ATTRIBUTE_COUNT_LIMIT, remedy)?;
    parse(env, own, general, remedy)
}

/// Reads the length limit from the variable `own`, or from the general variable if `own` is unset. `None` means no
/// limit.
fn read_value_length(env: &dyn Env, own: &str) -> Result<Option<usize>, SettingsError> {
    [own, names::ATTRIBUTE_VALUE_LENGTH_LIMIT]
        .into_iter()
        .find_map(|name| env.get(name).map(|value| (name, value)))
        .map(|(name, value)| {
            value.parse().map_err(|_| SettingsError::new(name, value, "use a whole number of characters"))
        })
        .transpose()
}

fn read_temporality(env: &dyn Env) -> Result<Temporality, SettingsError> {
    let name = names::OTLP_TEMPORALITY;
    let value = env.get(name).unwrap_or_else(|| defaults::OTLP_TEMPORALITY.into()).to_ascii_lowercase();
    match value.as_str() {
        "cumulative" => Ok(Temporality::Cumulative),
        "delta" => Ok(Temporality::Delta),
        "lowmemory" => Ok(Temporality::LowMemory),
        _ => Err(SettingsError::new(name, value, "use cumulative, delta or lowmemory")),
    }
}

pub(super) fn read_log_format(env: &dyn Env, on_a_terminal: bool) -> Result<LogFormat, SettingsError> {
    match env.get(names::LOG_FORMAT).as_deref() {
        None if on_a_terminal => Ok(LogFormat::Text),
        None | Some("json") => Ok(LogFormat::Json),
        Some("text") => Ok(LogFormat::Text),
        Some(other) => Err(SettingsError::new(names::LOG_FORMAT, other, "use json or text")),
    }
}

fn read_filter(env: &dyn Env) -> Result<String, SettingsError> {
    let level = env.get(names::LOG_LEVEL).unwrap_or_else(|| defaults::LOG_LEVEL.into()).to_ascii_lowercase();
    if !["trace", "debug", "info", "warn", "error", "off"].contains(&level.as_str()) {
        return Err(SettingsError::new(
            names::LOG_LEVEL,
            level,
            "use trace, debug, info, warn, error or off",
        ));
    }
    let Some(filter) = env.get(names::RUST_LOG) else {
        // The default filter hides the messages that the SDK logs at `info` when it starts. A level other than the
        // default also applies to the messages of the SDK.
        let is_default = level == defaults::LOG_LEVEL;
        return Ok(if is_default { defaults::RUST_LOG.to_owned() } else { level });
    };
    match EnvFilter::try_new(&filter) {
        Ok(_) => Ok(filter),
        Err(problem) => Err(SettingsError::new(
            names::RUST_LOG,
            filter,
            format!("{problem}; use for example info,my_crate=debug"),
        )),
    }
}
