//! Log records from `tracing` events, on the console and over OTLP.
//!
//! One `tracing` subscriber has three layers, each with its own filter: the console, the bridge to the [logs SDK], and
//! the layer that creates spans for `#[instrument]`. The filter in `RUST_LOG` applies only to log records and not to
//! spans, so a stricter filter leaves no gaps in traces. Layers that the program adds follow, each with a filter of its own.
//!
//! [logs SDK]: https://opentelemetry.io/docs/specs/otel/logs/sdk/

mod console;
mod format;
mod limits;

use std::sync::Arc;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, LogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::delivery::count::{Component, Delivery, Item, Queue};
use crate::delivery::export::{ExportThread, Exporter};
use crate::delivery::otlp::Exporters;
use crate::error::StartError;
use crate::settings::{Batch, LogFormat, Logs, Signal};
use crate::signals::added::{Addition, Stop};
use limits::Limited;

pub(crate) use console::Console;

/// A layer of the `tracing` subscriber.
pub(crate) type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What the program adds to logs and to the `tracing` subscriber.
#[derive(Default)]
pub(crate) struct Extensions {
    /// Run before the exporter, so the exporter sees their changes.
    pub(crate) processors: Vec<Addition<dyn LogProcessor>>,
    pub(crate) layers: Vec<BoxedLayer>,
}

/// The logger provider, and the delivery counters of its exporter.
#[derive(Debug, Default)]
pub(crate) struct Provider {
    /// `None` if the settings do not enable OTLP for logs and the program adds no processor.
    pub(crate) provider: Option<SdkLoggerProvider>,
    /// `None` if the settings do not enable OTLP for logs.
    pub(crate) delivery: Option<Arc<Delivery>>,
}

/// Creates the logger provider for OTLP and for the program's own `processors`. Adds the handles of the processors to
/// `added`.
pub(crate) fn provider(
    settings: &Logs,
    processors: Vec<Addition<dyn LogProcessor>>,
    added: &mut Vec<Arc<dyn Stop>>,
    resource: &Resource,
    thread: &ExportThread,
    exporters: &mut Exporters<'_>,
) -> Result<Provider, StartError> {
    if settings.otlp.is_none() && processors.is_empty() {
        return Ok(Provider::default());
    }
    let mut builder = SdkLoggerProvider::builder().with_resource(resource.clone());
    for processor in processors {
        let (processor, handle) = processor.start_with(resource);
        added.push(handle);
        builder = builder.with_log_processor(processor);
    }
    let Some(otlp) = &settings.otlp else {
        return Ok(Provider { provider: Some(builder.build()), delivery: None });
    };
    let Batch { delay, queue, size, timeout } = settings.batch;
    let delivery = Delivery::new(
        Item::LogRecord,
        "log records to otlp",
        Component::otlp(Signal::Logs, otlp),
        Some(Queue { processor: Component::new("batching_log_processor", 0), capacity: queue }),
    );
    let exporter = Exporter::new(exporters.logs(otlp, timeout)?, thread, timeout, Arc::clone(&delivery));
    let config = BatchConfigBuilder::default()
        .with_scheduled_delay(delay)
        .with_max_queue_size(queue)
        .with_max_export_batch_size(size)
        .build();
    let batch = BatchLogProcessor::builder(exporter).with_batch_config(config).build();
    let processor = Limited::new(batch, settings.limits, Arc::clone(&delivery));
    Ok(Provider { provider: Some(builder.with_log_processor(processor).build()), delivery: Some(delivery) })
}

/// Installs the global `tracing` subscriber, with the layers that the program adds after the others. Returns
/// the console's writer thread if the settings enable the console.
pub(crate) fn subscribe(
    settings: &Logs,
    tracer_provider: Option<&SdkTracerProvider>,
    logger_provider: Option<&SdkLoggerProvider>,
    added: Vec<BoxedLayer>,
) -> Result<Option<Console>, StartError> {
    let mut layers: Vec<BoxedLayer> = Vec::new();
    if let Some(provider) = tracer_provider {
        layers.push(span_layer(provider));
    }
    if let Some(provider) = logger_provider {
        layers.push(OpenTelemetryTracingBridge::new(provider).with_filter(filter(settings)).boxed());
    }
    let console = match settings.console {
        Some(format) => {
            let console = Console::start(std::io::stdout()).map_err(StartError::Thread)?;
            layers.push(console_layer(format, settings, &console));
            Some(console)
        }
        None => None,
    };
    // The filter lets everything pass. A layer without a filter would get only what at least one of the layers above
    // gets, because the registry ignores what all filters reject.
    layers.extend(added.into_iter().map(|layer| layer.with_filter(LevelFilter::TRACE).boxed()));
    let subscriber = tracing_subscriber::registry().with(layers);
    subscriber.try_init().map_err(|error| StartError::Subscriber(error.into()))?;
    Ok(console)
}

/// Returns the filter for log records. The filter was already validated when the settings were read.
fn filter(settings: &Logs) -> EnvFilter {
    EnvFilter::new(&settings.filter)
}

/// Creates the layer that turns the spans of `#[instrument]` into OpenTelemetry spans, as children of the current
/// OpenTelemetry context. The layer ignores spans below the level `info`.
///
/// The layer records no location, thread or timing, because recording these would double the cost of a span. It records
/// no events, because events already become log records.
fn span_layer(provider: &SdkTracerProvider) -> BoxedLayer {
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer_with_scope(crate::signals::scope::instrumentation_scope()))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| metadata.is_span() && *metadata.level() <= Level::INFO))
        .boxed()
}

fn console_layer(format: LogFormat, settings: &Logs, console: &Console) -> BoxedLayer {
    let layer = tracing_subscriber::fmt::layer().with_writer(console.writer()).with_ansi(false);
    match format {
        LogFormat::Json => layer.event_format(format::Json).with_filter(filter(settings)).boxed(),
        LogFormat::Text => layer.event_format(format::Text).with_filter(filter(settings)).boxed(),
    }
}
