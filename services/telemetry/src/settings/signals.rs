//! The settings of each signal.

use std::io::IsTerminal;
use std::time::Duration;

use super::env::{Env, SettingsError, flag, list, parse};
use super::otlp::{Otlp, Signal};
use super::{exclusive_none, names, read_millis};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::trace::SpanLimits;
use tracing_subscriber::EnvFilter;

/// Spans: which are kept, how they are batched and where they go.
#[derive(Clone, Debug)]
pub struct Traces {
    /// Where they go; nowhere if it is empty.
    pub exporters: Vec<SpanExporterKind>,
    /// Which traces are kept.
    pub sampling: Sampling,
    /// How they are batched.
    pub batch: Batch,
    /// How large a span may grow.
    pub limits: SpanLimits,
    /// Characters of an attribute's text.
    pub value_length: Option<usize>,
    /// How they reach the collector.
    pub otlp: Otlp,
    /// Baggage entries that become attributes of each span.
    pub baggage_attributes: Vec<String>,
    /// Whether each finished span is logged on a line.
    pub log_spans: bool,
}

/// Where spans go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanExporterKind {
    /// To a collector.
    Otlp,
    /// To standard output.
    Console,
}

/// Which traces are kept: those that a parent says, and of the rest a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 to 1.
    pub ratio: f64,
    /// Whether a parent's decision holds for its children.
    pub parent_based: bool,
}

/// How items are collected into batches before they are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How long an item waits at most before its batch is sent.
    pub delay: Duration,
    /// How long one batch may take, repeated attempts included.
    pub timeout: Duration,
    /// Items that may wait.
    pub queue: usize,
    /// Items in a batch.
    pub size: usize,
}

/// Measurements: how often and where they go.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Where they go; nowhere if it is empty.
    pub exporters: Vec<MetricsExporter>,
    /// Between two exports.
    pub interval: Duration,
    /// For one export, repeated attempts included.
    pub timeout: Duration,
    /// Whether sums are since the start or since the last export.
    pub temporality: Temporality,
    /// How they reach the collector.
    pub otlp: Otlp,
}

/// Where measurements go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsExporter {
    /// To a collector.
    Otlp,
    /// To whoever reads `/metrics` on the admin port.
    Prometheus,
    /// To standard output.
    Console,
}

/// Log records: which are kept and where they go.
#[derive(Clone, Debug)]
pub struct Logs {
    /// To a collector, if at all.
    pub otlp: Option<Otlp>,
    /// To standard output, if at all, and in which form.
    pub console: Option<LogFormat>,
    /// How they are batched.
    pub batch: Batch,
    /// How large a record may grow.
    pub limits: RecordLimits,
    /// Which records are kept, in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// An object on each line.
    Json,
    /// For people.
    Text,
}

/// How large a log record may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Attributes of a record.
    pub attributes: usize,
    /// Characters of an attribute's text.
    pub value_length: Option<usize>,
}

impl Traces {
    pub(super) fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let kinds = [("otlp", SpanExporterKind::Otlp), ("console", SpanExporterKind::Console)];
        Ok(Self {
            exporters: read_exporters(env, names::TRACES_EXPORTER, "otlp", &kinds)?,
            sampling: read_sampling(env)?,
            batch: read_batch(env, &BSP)?,
            limits: read_span_limits(env)?,
            value_length: read_value_length(env, names::SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT)?,
            otlp: Otlp::read(env, Signal::Traces)?,
            baggage_attributes: list(env, names::BAGGAGE_ATTRIBUTES).unwrap_or_default(),
            log_spans: flag(env, names::LOG_SPANS, false)?,
        })
    }
}

impl Metrics {
    pub(super) fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let kinds = [
            ("otlp", MetricsExporter::Otlp),
            ("prometheus", MetricsExporter::Prometheus),
            ("console", MetricsExporter::Console),
        ];
        Ok(Self {
            exporters: read_exporters(env, names::METRICS_EXPORTER, "otlp,prometheus", &kinds)?,
            interval: read_millis(env, names::METRIC_EXPORT_INTERVAL, 60_000)?,
            timeout: read_millis(env, names::METRIC_EXPORT_TIMEOUT, 30_000)?,
            temporality: read_temporality(env)?,
            otlp: Otlp::read(env, Signal::Metrics)?,
        })
    }
}

impl Logs {
    pub(super) fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let kinds = [("otlp", SpanExporterKind::Otlp), ("console", SpanExporterKind::Console)];
        let exporters = read_exporters(env, names::LOGS_EXPORTER, "otlp,console", &kinds)?;
        let otlp = Otlp::read(env, Signal::Logs)?;
        let format = read_log_format(env)?;
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

/// The chosen of `kinds`, each once, in the order of `kinds`.
fn read_exporters<K: Copy>(
    env: &dyn Env,
    name: &str,
    default: &str,
    kinds: &[(&str, K)],
) -> Result<Vec<K>, SettingsError> {
    let chosen = list(env, name).unwrap_or_else(|| default.split(',').map(str::to_owned).collect());
    exclusive_none(name, &chosen)?;
    if let Some(unknown) =
        chosen.iter().find(|item| *item != "none" && !kinds.iter().any(|(kind, _)| kind == item))
    {
        let known: Vec<_> = kinds.iter().map(|(kind, _)| *kind).collect();
        return Err(SettingsError::new(name, unknown, format!("use none, or some of {}", known.join(", "))));
    }
    Ok(kinds
        .iter()
        .filter(|(kind, _)| chosen.iter().any(|item| item == kind))
        .map(|(_, kind)| *kind)
        .collect())
}

fn read_sampling(env: &dyn Env) -> Result<Sampling, SettingsError> {
    let remedy = "use a share from 0 to 1, such as 0.1";
    let ratio: f64 = parse(env, names::TRACES_SAMPLER_ARG, 0.1, remedy)?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(SettingsError::new(names::TRACES_SAMPLER_ARG, ratio, remedy));
    }
    let sampler = env.get(names::TRACES_SAMPLER).unwrap_or_else(|| "parentbased_traceidratio".into());
    let (kind, parent_based) = match sampler.strip_prefix("parentbased_") {
        Some(kind) => (kind, true),
        None => (sampler.as_str(), false),
    };
    let ratio = match kind {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => ratio,
        _ => {
            let remedy = "use always_on, always_off or traceidratio, each also with parentbased_ before it";
            return Err(SettingsError::new(names::TRACES_SAMPLER, sampler, remedy));
        }
    };
    Ok(Sampling { ratio, parent_based })
}

struct BatchNames {
    delay: &'static str,
    default_delay: u64,
    timeout: &'static str,
    queue: &'static str,
    size: &'static str,
}

const BSP: BatchNames = BatchNames {
    delay: names::BSP_SCHEDULE_DELAY,
    default_delay: 5_000,
    timeout: names::BSP_EXPORT_TIMEOUT,
    queue: names::BSP_MAX_QUEUE_SIZE,
    size: names::BSP_MAX_EXPORT_BATCH_SIZE,
};

const BLRP: BatchNames = BatchNames {
    delay: names::BLRP_SCHEDULE_DELAY,
    default_delay: 1_000,
    timeout: names::BLRP_EXPORT_TIMEOUT,
    queue: names::BLRP_MAX_QUEUE_SIZE,
    size: names::BLRP_MAX_EXPORT_BATCH_SIZE,
};

/// A queue is allocated whole at the start, so that its length must be bounded here.
const LARGEST_QUEUE: usize = 1_000_000;

fn read_batch(env: &dyn Env, names: &BatchNames) -> Result<Batch, SettingsError> {
    let remedy = "use a whole number from 1 to 1000000";
    let positive = |name, default| match parse(env, name, default, remedy)? {
        number @ 1..=LARGEST_QUEUE => Ok(number),
        number => Err(SettingsError::new(name, number, remedy)),
    };
    let queue = positive(names.queue, 2_048)?;
    let size = positive(names.size, 512.min(queue))?;
    if size > queue {
        let remedy = format!("use at most {queue}, what {} holds", names.queue);
        return Err(SettingsError::new(names.size, size, remedy));
    }
    Ok(Batch {
        delay: read_millis(env, names.delay, names.default_delay)?,
        timeout: read_millis(env, names.timeout, 30_000)?,
        queue,
        size,
    })
}

fn read_span_limits(env: &dyn Env) -> Result<SpanLimits, SettingsError> {
    let remedy = "use a whole number";
    let mut limits = SpanLimits::default();
    limits.max_attributes_per_span =
        u32::try_from(read_count(env, names::SPAN_ATTRIBUTE_COUNT_LIMIT)?).unwrap_or(u32::MAX);
    limits.max_events_per_span =
        parse(env, names::SPAN_EVENT_COUNT_LIMIT, limits.max_events_per_span, remedy)?;
    limits.max_links_per_span = parse(env, names::SPAN_LINK_COUNT_LIMIT, limits.max_links_per_span, remedy)?;
    limits.max_attributes_per_event =
        parse(env, names::EVENT_ATTRIBUTE_COUNT_LIMIT, limits.max_attributes_per_event, remedy)?;
    limits.max_attributes_per_link =
        parse(env, names::LINK_ATTRIBUTE_COUNT_LIMIT, limits.max_attributes_per_link, remedy)?;
    Ok(limits)
}

/// The count that `own` sets, or else the general one.
fn read_count(env: &dyn Env, own: &str) -> Result<usize, SettingsError> {
    let remedy = "use a whole number of attributes";
    let general = parse(env, names::ATTRIBUTE_COUNT_LIMIT, 128, remedy)?;
    parse(env, own, general, remedy)
}

/// The length that `own` sets, or else the general one, or else none.
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
    match env.get(name).map(|value| value.to_ascii_lowercase()).as_deref() {
        None | Some("cumulative") => Ok(Temporality::Cumulative),
        Some("delta") => Ok(Temporality::Delta),
        Some("lowmemory") => Ok(Temporality::LowMemory),
        Some(other) => Err(SettingsError::new(name, other, "use cumulative, delta or lowmemory")),
    }
}

fn read_log_format(env: &dyn Env) -> Result<LogFormat, SettingsError> {
    match env.get(names::LOG_FORMAT).as_deref() {
        None if std::io::stdout().is_terminal() => Ok(LogFormat::Text),
        None | Some("json") => Ok(LogFormat::Json),
        Some("text") => Ok(LogFormat::Text),
        Some(other) => Err(SettingsError::new(names::LOG_FORMAT, other, "use json or text")),
    }
}

fn read_filter(env: &dyn Env) -> Result<String, SettingsError> {
    let level = env.get(names::LOG_LEVEL).unwrap_or_else(|| "info".into()).to_ascii_lowercase();
    if !["trace", "debug", "info", "warn", "error", "off"].contains(&level.as_str()) {
        return Err(SettingsError::new(
            names::LOG_LEVEL,
            level,
            "use trace, debug, info, warn, error or off",
        ));
    }
    let Some(filter) = env.get(names::RUST_LOG) else {
        // The SDK greets at its start; who asks for no particular level does not ask for that.
        return Ok(if level == "info" { "info,opentelemetry=warn".to_owned() } else { level });
    };
    match EnvFilter::try_new(&filter) {
        Ok(_) => Ok(filter),
        Err(problem) => Err(SettingsError::new(
            names::RUST_LOG,
            filter,
            format!("{problem}; for example info,my_crate=debug"),
        )),
    }
}
