//! The builder, with which a program adds parts of its own to telemetry.

use std::any::type_name;
use std::fmt;

use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::logs::LogProcessor;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{Instrument, Stream};
use opentelemetry_sdk::resource::ResourceDetector;
use opentelemetry_sdk::trace::{ShouldSample, SpanProcessor};
use tokio::runtime::Handle;
use tracing_subscriber::{Layer, Registry};

use crate::context::propagators::AddedPropagator;
use crate::error::StartError;
use crate::lifecycle::guard::{self, Telemetry};
use crate::resource;
use crate::service::Service;
use crate::settings::{Env, ProcessEnv, Settings, SettingsError};
use crate::signals::added::Addition;
use crate::signals::{logs, metrics, traces};

/// Everything that the program adds or turns off.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) resource: resource::Additions,
    pub(super) propagators: Vec<AddedPropagator>,
    pub(super) traces: traces::Extensions,
    pub(super) metrics: metrics::Extensions,
    pub(super) logs: logs::Extensions,
    /// Whether the program turns the metrics of the process and of the runtime off.
    pub(super) no_runtime_metrics: bool,
}

/// Starts telemetry with parts of the program's own. [`Telemetry::builder`] creates it.
///
/// [`start`](Self::start) then starts telemetry as [`start`](crate::start) does, and [`run`](Self::run) runs a service
/// as [`run`](crate::run) does. Both of these functions use the builder without any additional parts.
///
/// # Order
///
/// Several parts of the same kind are called in the order in which they are added. The methods say how a part works
/// together with the crate's own parts.
///
/// # Faults
///
/// Span processors, log processors and metric readers cannot make the service or the delivery fail:
///
/// - If one of them panics, the panic is caught. The part is turned off, and [`Telemetry::shutdown`] reports it.
/// - At shutdown, they are flushed at the same time as the crate's own exporters, with the same timeout. The report
///   contains the error of each part that fails or does not finish in time. The delivery of the crate's exporters does
///   not depend on it.
///
/// They are called on the thread that ends a span or creates a log record. If they block, they block the request, so
/// leave slow work to a thread of its own. Panics in other parts are not caught: a panic in a layer, a sampler, a view or
/// a propagator reaches the code that uses `tracing` or OpenTelemetry at this moment, and a panic in a resource detector
/// reaches the code that calls [`start`](Self::start).
///
/// # `OTEL_SDK_DISABLED`
///
/// If this setting is `true`, only layers and propagators have an effect.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sightline_telemetry::external::opentelemetry::KeyValue;
/// use sightline_telemetry::settings::MapEnv;
/// use sightline_telemetry::{Telemetry, service};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let telemetry = Telemetry::builder(service!())
///     .env(MapEnv::from_iter([("OTEL_SDK_DISABLED", "true")]))
///     .resource_attributes([KeyValue::new("shop.region", "north")])
///     .start()?;
/// telemetry.shutdown(Duration::from_secs(5))?;
/// # Ok(())
/// # }
/// ```
#[must_use = "the builder does nothing until `start` or `run` is called"]
pub struct TelemetryBuilder {
    pub(super) service: Service,
    pub(super) env: Box<dyn Env>,
    settings: Option<Settings>,
    pub(super) extensions: Extensions,
}

impl fmt::Debug for TelemetryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryBuilder").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Returns a builder, with which the program adds parts of its own to telemetry.
    pub fn builder(service: Service) -> TelemetryBuilder {
        TelemetryBuilder {
            service,
            env: Box::new(ProcessEnv),
            settings: None,
            extensions: Extensions::default(),
        }
    }
}

impl TelemetryBuilder {
    /// Reads the settings from `env` instead of the environment of the process.
    ///
    /// With [`run`](Self::run), the service's own settings come from `env`, too.
    ///
    /// ```
    /// use sightline_telemetry::settings::{Env, ProcessEnv};
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// /// Adds a default to the environment.
    /// struct WithDefaults;
    ///
    /// impl Env for WithDefaults {
    ///     fn get(&self, name: &str) -> Option<String> {
    ///         let default = (name == "OTEL_TRACES_EXPORTER").then(|| "none".to_owned());
    ///         ProcessEnv.get(name).or(default)
    ///     }
    /// }
    ///
    /// let builder = Telemetry::builder(service!()).env(WithDefaults);
    /// # drop(builder);
    /// ```
    pub fn env(mut self, env: impl Env + 'static) -> Self {
        self.env = Box::new(env);
        self
    }

    /// Uses `settings` instead of reading the crate's settings. The latest call counts.
    ///
    /// ```
    /// use sightline_telemetry::settings::{ProcessEnv, Settings};
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// let mut settings = Settings::read(&ProcessEnv)?;
    /// settings.disabled = true;
    /// let builder = Telemetry::builder(service!()).settings(settings);
    /// # drop(builder);
    /// # Ok::<(), sightline_telemetry::settings::SettingsError>(())
    /// ```
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Adds a resource detector, for a cloud provider for example.
    ///
    /// Its attributes override detected ones, and are overridden by the [`Service`], by
    /// [`resource_attributes`](Self::resource_attributes), by `OTEL_RESOURCE_ATTRIBUTES` and by `OTEL_SERVICE_NAME`. The
    /// detector runs on the thread that calls [`start`](Self::start), which waits for it without a timeout.
    ///
    /// ```
    /// use sightline_telemetry::external::opentelemetry::KeyValue;
    /// use sightline_telemetry::external::opentelemetry_sdk::{Resource, resource::ResourceDetector};
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// struct Region;
    ///
    /// impl ResourceDetector for Region {
    ///     fn detect(&self) -> Resource {
    ///         let region = std::fs::read_to_string("/etc/region");
    ///         let region = region.map(|region| KeyValue::new("cloud.region", region.trim().to_owned()));
    ///         Resource::builder_empty().with_attributes(region.ok()).build()
    ///     }
    /// }
    ///
    /// let builder = Telemetry::builder(service!()).resource_detector(Region);
    /// # drop(builder);
    /// ```
    pub fn resource_detector(mut self, detector: impl ResourceDetector + 'static) -> Self {
        self.extensions.resource.detectors.push(Box::new(detector));
        self
    }

    /// Adds fixed attributes to the resource.
    ///
    /// They override detected attributes and the [`Service`], and are overridden by `OTEL_RESOURCE_ATTRIBUTES` and
    /// `OTEL_SERVICE_NAME`, because an operator can change the environment of a service but not its code. The attribute
    /// `service.name` is the way to a name that is known only when the program runs:
    ///
    /// ```
    /// use sightline_telemetry::external::opentelemetry::KeyValue;
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// let shard = 3;
    /// let builder = Telemetry::builder(service!())
    ///     .resource_attributes([KeyValue::new("service.name", format!("shop-{shard}"))]);
    /// # drop(builder);
    /// ```
    pub fn resource_attributes(mut self, attributes: impl IntoIterator<Item = KeyValue>) -> Self {
        self.extensions.resource.attributes.extend(attributes);
        self
    }

    /// Adds a propagator after those that `OTEL_PROPAGATORS` selects.
    ///
    /// It adds its headers to requests that the service sends, next to theirs. For requests that the service receives,
    /// it runs last: a span context that it returns replaces the one that the others found. It must therefore return the
    /// given context unchanged if the headers do not contain its own header.
    ///
    /// ```
    /// use sightline_telemetry::external::opentelemetry::Context;
    /// use sightline_telemetry::external::opentelemetry::propagation::text_map_propagator::FieldIter;
    /// use sightline_telemetry::external::opentelemetry::propagation::{
    ///     Extractor, Injector, TextMapPropagator,
    /// };
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// #[derive(Clone)]
    /// struct Tenant(String);
    ///
    /// #[derive(Debug)]
    /// struct TenantPropagator {
    ///     fields: [String; 1],
    /// }
    ///
    /// impl TextMapPropagator for TenantPropagator {
    ///     fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
    ///         if let Some(Tenant(tenant)) = context.get::<Tenant>() {
    ///             injector.set("x-tenant", tenant.clone());
    ///         }
    ///     }
    ///
    ///     fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
    ///         match extractor.get("x-tenant") {
    ///             Some(tenant) => context.with_value(Tenant(tenant.to_owned())),
    ///             None => context.clone(),
    ///         }
    ///     }
    ///
    ///     fn fields(&self) -> FieldIter<'_> {
    ///         FieldIter::new(&self.fields)
    ///     }
    /// }
    ///
    /// let propagator = TenantPropagator { fields: ["x-tenant".to_owned()] };
    /// let builder = Telemetry::builder(service!()).propagator(propagator);
    /// # drop(builder);
    /// ```
    pub fn propagator(mut self, propagator: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        self.extensions.propagators.push(Box::new(propagator));
        self
    }

    /// Uses `sampler` instead of the one from `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, which then have no
    /// effect. The latest call counts.
    ///
    /// The sampler decides for each span. To follow the caller's decision, compose it with
    /// [`Sampler::ParentBased`](opentelemetry_sdk::trace::Sampler::ParentBased):
    ///
    /// ```
    /// use sightline_telemetry::external::opentelemetry_sdk::trace::Sampler;
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
    /// let builder = Telemetry::builder(service!()).sampler(sampler);
    /// # drop(builder);
    /// ```
    pub fn sampler(mut self, sampler: impl Into<Box<dyn ShouldSample>>) -> Self {
        self.extensions.traces.sampler = Some(sampler.into());
        self
    }

    /// Adds a span processor before the processors that export.
    ///
    /// `on_start` can change the span, for example set attributes, and the exporters get the result. `on_end` gets a copy
    /// of the span, so it can count or export the span but cannot change or drop it for the exporters. The copy costs
    /// time for each span. The Rust SDK does not have the specification's `OnEnding`. Only recorded spans reach a
    /// processor.
    ///
    /// The processor does not count as an exporter: the report of lost spans is about the crate's own exporters. See
    /// [Faults](Self#faults) for panics and the shutdown. A processor with an exporter that needs a Tokio runtime must
    /// bring the runtime.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sightline_telemetry::external::opentelemetry::{Context, KeyValue, trace::Span as _};
    /// use sightline_telemetry::external::opentelemetry_sdk::error::OTelSdkResult;
    /// use sightline_telemetry::external::opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// #[derive(Debug)]
    /// struct Thread;
    ///
    /// impl SpanProcessor for Thread {
    ///     fn on_start(&self, span: &mut Span, _context: &Context) {
    ///         if let Some(name) = std::thread::current().name() {
    ///             span.set_attribute(KeyValue::new("thread.name", name.to_owned()));
    ///         }
    ///     }
    ///
    ///     fn on_end(&self, _span: SpanData) {}
    ///
    ///     fn force_flush(&self) -> OTelSdkResult {
    ///         Ok(())
    ///     }
    ///
    ///     fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let builder = Telemetry::builder(service!()).span_processor(Thread);
    /// # drop(builder);
    /// ```
    pub fn span_processor<P: SpanProcessor + 'static>(mut self, processor: P) -> Self {
        let processor = Addition::new("span processor", type_name::<P>(), Box::new(processor) as Box<_>);
        self.extensions.traces.processors.push(processor);
        self
    }

    /// Adds a log processor before the one that exports over OTLP.
    ///
    /// It can change a record, and the exporter gets the result, shortened to the limits for log records. The console is
    /// not affected. Records that the filter in `RUST_LOG` excludes do not reach it. A log processor also works if
    /// `OTEL_LOGS_EXPORTER` does not contain `otlp`. See [Faults](Self#faults) for panics and the shutdown.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sightline_telemetry::external::opentelemetry::InstrumentationScope;
    /// use sightline_telemetry::external::opentelemetry::logs::LogRecord as _;
    /// use sightline_telemetry::external::opentelemetry_sdk::error::OTelSdkResult;
    /// use sightline_telemetry::external::opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// #[derive(Debug)]
    /// struct Stage;
    ///
    /// impl LogProcessor for Stage {
    ///     fn emit(&self, record: &mut SdkLogRecord, _scope: &InstrumentationScope) {
    ///         record.add_attribute("shop.stage", "canary");
    ///     }
    ///
    ///     fn force_flush(&self) -> OTelSdkResult {
    ///         Ok(())
    ///     }
    ///
    ///     fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let builder = Telemetry::builder(service!()).log_processor(Stage);
    /// # drop(builder);
    /// ```
    pub fn log_processor<P: LogProcessor + 'static>(mut self, processor: P) -> Self {
        let processor = Addition::new("log processor", type_name::<P>(), Box::new(processor) as Box<_>);
        self.extensions.logs.processors.push(processor);
        self
    }

    /// Adds a [view](https://opentelemetry.io/docs/specs/otel/metrics/sdk/#view), which renames, drops or aggregates
    /// metrics. It applies to all exporters and readers.
    ///
    /// The crate has no views of its own, so a view replaces nothing. Views are applied independently: an instrument
    /// that two views select has two streams.
    ///
    /// ```
    /// use sightline_telemetry::external::opentelemetry_sdk::metrics::{Aggregation, Instrument, Stream};
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// let drop_body_size = |instrument: &Instrument| {
    ///     let selected = instrument.name() == "http.server.request.body.size";
    ///     selected.then(|| Stream::builder().with_aggregation(Aggregation::Drop).build().ok()).flatten()
    /// };
    /// let builder = Telemetry::builder(service!()).view(drop_body_size);
    /// # drop(builder);
    /// ```
    pub fn view(mut self, view: impl Fn(&Instrument) -> Option<Stream> + Send + Sync + 'static) -> Self {
        self.extensions.metrics.views.push(Box::new(view));
        self
    }

    /// Adds a metric reader next to the exporters that `OTEL_METRICS_EXPORTER` selects.
    ///
    /// See [Faults](Self#faults) for panics and the shutdown.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sightline_telemetry::external::opentelemetry_sdk::error::OTelSdkResult;
    /// use sightline_telemetry::external::opentelemetry_sdk::metrics::data::ResourceMetrics;
    /// use sightline_telemetry::external::opentelemetry_sdk::metrics::exporter::PushMetricExporter;
    /// use sightline_telemetry::external::opentelemetry_sdk::metrics::{PeriodicReader, Temporality};
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// struct Print;
    ///
    /// impl PushMetricExporter for Print {
    ///     async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
    ///         println!("{metrics:?}");
    ///         Ok(())
    ///     }
    ///
    ///     fn force_flush(&self) -> OTelSdkResult {
    ///         Ok(())
    ///     }
    ///
    ///     fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
    ///         Ok(())
    ///     }
    ///
    ///     fn temporality(&self) -> Temporality {
    ///         Temporality::Cumulative
    ///     }
    /// }
    ///
    /// let reader = PeriodicReader::builder(Print).with_interval(Duration::from_secs(10)).build();
    /// let builder = Telemetry::builder(service!()).metric_reader(reader);
    /// # drop(builder);
    /// ```
    pub fn metric_reader<R: MetricReader>(mut self, reader: R) -> Self {
        let reader = Addition::new("metric reader", type_name::<R>(), Box::new(reader) as Box<_>);
        self.extensions.metrics.readers.push(reader);
        self
    }

    /// Turns the metrics of the process and of the Tokio runtime on or off. They are on by default.
    ///
    /// They are `process.*` (CPU time, memory, threads, file descriptors, uptime) and `tokio.*` (workers, tasks, busy time).
    /// The values are read when metrics are collected, so they cost a request nothing. [`run`](Self::run) reports its
    /// own runtime. [`start`](Self::start) reports the runtime that it is called in, if there is one.
    ///
    /// ```
    /// use sightline_telemetry::{Telemetry, service};
    ///
    /// let builder = Telemetry::builder(service!()).runtime_metrics(false);
    /// # drop(builder);
    /// ```
    #[cfg(feature = "runtime-metrics")]
    pub fn runtime_metrics(mut self, enabled: bool) -> Self {
        self.extensions.no_runtime_metrics = !enabled;
        self
    }

    /// Adds a layer to the `tracing` subscriber, after the crate's layers.
    ///
    /// The layer has its own filter. Without a filter, it gets all spans and events, independently of `RUST_LOG` and of
    /// the filters of the crate's layers. `tracing` then evaluates spans and events of all levels, which costs time in
    /// code that logs a lot at the levels `debug` and `trace`. So add a filter with
    /// [`with_filter`](tracing_subscriber::Layer::with_filter).
    ///
    /// ```
    /// use sightline_telemetry::external::tracing_subscriber::filter::LevelFilter;
    /// use sightline_telemetry::external::tracing_subscriber::layer::{Context, Layer};
    /// use sightline_telemetry::external::tracing_subscriber::Registry;
    /// use sightline_telemetry::{Telemetry, service};
    /// use tracing::Event;
    ///
    /// /// Does something for each event.
    /// struct Alarm;
    ///
    /// impl Layer<Registry> for Alarm {
    ///     fn on_event(&self, event: &Event<'_>, _context: Context<'_, Registry>) {
    ///         eprintln!("an error in {}", event.metadata().target());
    ///     }
    /// }
    ///
    /// let layer = Alarm.with_filter(LevelFilter::ERROR);
    /// let builder = Telemetry::builder(service!()).layer(layer);
    /// # drop(builder);
    /// ```
    pub fn layer(mut self, layer: impl Layer<Registry> + Send + Sync + 'static) -> Self {
        self.extensions.logs.layers.push(layer.boxed());
        self
    }

    /// Starts telemetry. See [`start`](crate::start), which has the same effects.
    ///
    /// # Errors
    ///
    /// [`StartError::Settings`] if a setting has a value that cannot be used, and the errors of
    /// [`start`](crate::start).
    pub fn start(mut self) -> Result<Telemetry, StartError> {
        let settings = self.read_settings()?;
        guard::launch(&self.service, &settings, self.extensions, Handle::try_current().ok().as_ref())
    }

    /// Returns the crate's settings.
    pub(super) fn read_settings(&mut self) -> Result<Settings, SettingsError> {
        match self.settings.take() {
            Some(settings) => Ok(settings),
            None => Settings::read(self.env.as_ref()),
        }
    }
}
