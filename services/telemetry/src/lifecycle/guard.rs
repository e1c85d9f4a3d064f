//! The function that starts telemetry, and the guard that flushes it at shutdown.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::global;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

use crate::context::propagators;
use crate::delivery::count::Delivery;
use crate::delivery::export::ExportThread;
use crate::delivery::otlp::Exporters;
use crate::error::{ShutdownError, StartError};
use crate::lifecycle::builder::Extensions;
use crate::resource;
use crate::service::Service;
use crate::settings::Settings;
use crate::signals::added::Stop;
use crate::signals::logs::Console;
use crate::signals::metrics::Registry;
use crate::signals::{logs, metrics, scope, sdk_metrics, traces};

/// Starts traces, metrics and logs for this process. [`Telemetry::builder`] does the same, and can add parts of the
/// program's own.
///
/// This function installs OpenTelemetry's global tracer provider, meter provider and propagator, and the global
/// `tracing` subscriber. Call it once, before the first layer, client or [`Database`](crate::db::Database) of this
/// crate is created. It works on any thread, inside or outside a Tokio runtime. To detect the resource, it reads local
/// files. In a Kubernetes cluster, it also sends requests to the API server, which can take up to two seconds.
///
/// Keep the returned guard, and call [`Telemetry::shutdown`] at the end. Dropping the guard also flushes, but cannot
/// report what was lost.
///
/// # Errors
///
/// - [`StartError::Certificates`] if a TLS file cannot be used.
/// - [`StartError::Exporter`] if an exporter cannot be built.
/// - [`StartError::Thread`] if the export thread cannot be started.
/// - [`StartError::Subscriber`] if the process already has a global `tracing` subscriber.
///
/// An unreachable Collector is not an error: exports are retried.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sightline_telemetry::settings::{MapEnv, Settings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Context propagation and console logs only.
/// let settings = Settings::read(&MapEnv::from_iter([("OTEL_SDK_DISABLED", "true")]))?;
/// let telemetry = sightline_telemetry::start(&sightline_telemetry::service!(), &settings)?;
/// tracing::info!("started");
/// telemetry.shutdown(Duration::from_secs(5))?;
/// # Ok(())
/// # }
/// ```
pub fn start(service: &Service, settings: &Settings) -> Result<Telemetry, StartError> {
    Telemetry::builder(*service).settings(settings.clone()).start()
}

/// Starts telemetry with the parts that the program adds. `runtime` is the runtime of the service, for metrics about it.
pub(super) fn launch(
    service: &Service,
    settings: &Settings,
    mut extensions: Extensions,
    runtime: Option<&Handle>,
) -> Result<Telemetry, StartError> {
    let added_propagators = std::mem::take(&mut extensions.propagators);
    global::set_text_map_propagator(propagators::composite(&settings.propagators, added_propagators));
    scope::configure(&settings.instrumentation);
    let registry = Registry::default();
    let layers = std::mem::take(&mut extensions.logs.layers);
    if settings.disabled {
        let console = logs::subscribe(&settings.logs, None, None, layers)?;
        return Ok(Telemetry { registry, console, signals: None });
    }

    let (resource, missing) = resource::detect(service, &settings.resource, &extensions.resource);
    let has_runtime_metrics = !extensions.no_runtime_metrics;
    let signals = Signals::start(settings, extensions, &resource, &registry)?;
    let console = logs::subscribe(&settings.logs, Some(&signals.traces), signals.logs.as_ref(), layers)?;
    // The call creates a log record, so the subscriber must already be installed.
    missing.log();
    global::set_tracer_provider(signals.traces.clone());
    global::set_meter_provider(signals.metrics.clone());
    let meter = signals.metrics.meter_with_scope(scope::instrumentation_scope());
    if let Some(console) = &console {
        console.register(&meter);
    }
    if has_runtime_metrics {
        #[cfg(feature = "runtime-metrics")]
        crate::runtime_metrics::register(&meter, runtime);
        #[cfg(not(feature = "runtime-metrics"))]
        let _ = runtime;
    }
    Ok(Telemetry { registry, console, signals: Some(signals) })
}

/// The guard of the process's telemetry. [`start`] returns it.
///
/// Dropping the guard shuts telemetry down with a timeout of five seconds and discards the report of lost telemetry.
/// Use [`shutdown`](Self::shutdown) to get the report.
#[derive(Debug)]
#[must_use = "telemetry ends when its guard is dropped"]
pub struct Telemetry {
    registry: Registry,
    console: Option<Console>,
    signals: Option<Signals>,
}

#[derive(Debug)]
struct Signals {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: Option<SdkLoggerProvider>,
    log_delivery: Option<Arc<Delivery>>,
    deliveries: Vec<Arc<Delivery>>,
    /// The processors and readers that the program adds.
    added: Vec<Arc<dyn Stop>>,
    // This is the last field, so the thread is dropped after the exporters that need it.
    thread: ExportThread,
}

impl Telemetry {
    /// The shutdown timeout if the guard is dropped.
    const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

    /// Returns the registry with the metrics for Prometheus.
    ///
    /// [`run`](crate::run) serves these metrics on the admin port. A program that calls [`start`] can serve them with
    /// the `prometheus` crate. The registry has metrics only if `OTEL_METRICS_EXPORTER` contains `prometheus`, as it
    /// does by default.
    #[cfg(feature = "prometheus")]
    #[must_use]
    pub fn registry(&self) -> &prometheus::Registry {
        &self.registry
    }

    /// Returns the registry for the admin port.
    pub(crate) fn admin_registry(&self) -> &Registry {
        &self.registry
    }

    /// Flushes everything that is queued and shuts telemetry down within `timeout`.
    ///
    /// The call blocks the calling thread. Async code can still make the call without a deadlock, because exporters do
    /// not need the caller's runtime. Log records created during the call go only to the console. Log records created
    /// after the call are dropped.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`] lists what was lost since [`start`], not only during the shutdown: spans and log records that
    /// were not delivered, metrics whose last export failed, and console lines that were dropped because standard
    /// output was too slow.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sightline_telemetry::settings::{MapEnv, Settings};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if cfg!(not(any(feature = "otlp-grpc", feature = "otlp-http"))) {
    /// #     return Ok(());
    /// # }
    /// // Nothing listens on port 1.
    /// let env = MapEnv::from_iter([
    ///     ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
    ///     ("OTEL_TRACES_SAMPLER", "always_on"),
    ///     ("OTEL_BSP_EXPORT_TIMEOUT", "50"),
    ///     ("OTEL_METRICS_EXPORTER", "none"),
    ///     ("OTEL_LOGS_EXPORTER", "none"),
    /// ]);
    /// let telemetry = sightline_telemetry::start(&sightline_telemetry::service!(), &Settings::read(&env)?)?;
    /// tracing::info_span!("work").in_scope(|| ());
    ///
    /// let error = telemetry.shutdown(Duration::from_secs(5)).expect_err("nothing was delivered");
    /// assert_eq!(error.lost, ["1 of 1 spans to otlp"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(mut self, timeout: Duration) -> Result<(), ShutdownError> {
        self.shutdown_once(timeout)
    }

    /// Shuts telemetry down, unless it is already shut down.
    fn shutdown_once(&mut self, timeout: Duration) -> Result<(), ShutdownError> {
        let mut lost = self.signals.take().map(|signals| signals.shutdown(timeout)).unwrap_or_default();
        lost.extend(self.console.take().and_then(|console| console.describe_loss()));
        if lost.is_empty() { Ok(()) } else { Err(ShutdownError { lost }) }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let _ = self.shutdown_once(Self::DEFAULT_SHUTDOWN_TIMEOUT);
    }
}

impl Signals {
    fn start(
        settings: &Settings,
        extensions: Extensions,
        resource: &Resource,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let Extensions {
            traces: traces_extensions, metrics: metrics_extensions, logs: logs_extensions, ..
        } = extensions;
        let mut added = Vec::new();
        let thread = ExportThread::start().map_err(StartError::Thread)?;
        let mut exporters =
            Exporters::new(&thread, settings.tls_reload_interval, settings.tls_expiry_warning);
        let traces::Tracing { provider: traces, counts: spans, deliveries } = traces::provider(
            &settings.traces,
            traces_extensions,
            &mut added,
            resource,
            &thread,
            &mut exporters,
        )?;
        let (metrics, of_metrics) = metrics::provider(
            &settings.metrics,
            metrics_extensions,
            &mut added,
            resource,
            &thread,
            &mut exporters,
            registry,
        )?;
        let logs = logs::provider(
            &settings.logs,
            logs_extensions.processors,
            &mut added,
            resource,
            &thread,
            &mut exporters,
        )?;
        let logs::Provider { provider: logs, delivery: log_delivery } = logs;
        let meter = metrics.meter_with_scope(scope::instrumentation_scope());
        let all: Vec<_> = deliveries.iter().chain(&log_delivery).chain(&of_metrics).cloned().collect();
        sdk_metrics::register(&meter, &spans, &all);
        exporters.register_certificates(&meter);
        Ok(Self { traces, metrics, logs, log_delivery, deliveries, added, thread })
    }

    /// Shuts the three providers and the parts that the program adds down in parallel, each with the given timeout, and
    /// describes what was lost.
    ///
    /// The last export of metrics says what became of the last spans and log records. So it waits until these are
    /// exported, but at most for half of the timeout.
    fn shutdown(self, timeout: Duration) -> Vec<String> {
        let Self { traces, metrics, logs, log_delivery, mut deliveries, added, thread } = self;
        if let Some(delivery) = log_delivery {
            // With RUST_LOG=debug, providers log their own shutdown. The last of these log records could not be
            // delivered and would count as lost, so no log record is submitted from now on.
            delivery.close();
            deliveries.push(delivery);
        }
        let deadline = Instant::now() + timeout;
        // A reader collects its last metrics from the provider, so the provider must exist until the end.
        let provider = metrics.clone();
        // The receiver returns when both senders are dropped.
        let (traces_end, others) = mpsc::channel::<()>();
        let logs_end = traces_end.clone();
        let mut shutdowns: Vec<Shutdown> = vec![
            Box::new(move || {
                let _end = traces_end;
                traces.shutdown_with_timeout(timeout)
            }),
            Box::new(move || {
                let _ = others.recv_timeout(timeout / 2);
                metrics.shutdown_with_timeout(deadline.saturating_duration_since(Instant::now()))
            }),
            Box::new(move || {
                let _end = logs_end;
                logs.map_or(Ok(()), |logs| logs.shutdown_with_timeout(timeout))
            }),
        ];
        let own = shutdowns.len();
        shutdowns.extend(added.iter().map(|part| -> Shutdown {
            let part = Arc::clone(part);
            Box::new(move || part.stop(timeout))
        }));
        let errors = shut_down(shutdowns, deadline);
        if errors[..own].iter().any(Option::is_some) {
            // Keep the export thread. An exporter may still be running, and would panic without this thread. The
            // process exits soon anyway.
            std::mem::forget(thread);
        }
        drop(provider);

        let metrics_error =
            errors[1].as_ref().map(|error| format!("metrics since their last export: {error}"));
        let added_errors = added
            .iter()
            .zip(&errors[own..])
            .filter_map(|(part, error)| error.as_ref().map(|error| format!("{}: {error}", part.label())));
        // Spans and log records are counted individually, so their providers' errors add no information.
        deliveries
            .iter()
            .filter_map(|delivery| delivery.describe_loss())
            .chain(metrics_error)
            .chain(added_errors)
            .collect()
    }
}

type Shutdown = Box<dyn FnOnce() -> OTelSdkResult + Send>;

/// Runs `shutdowns` in parallel until `deadline`. Returns their errors in the same order. A shutdown that does not finish
/// in time has an error, too.
fn shut_down(shutdowns: Vec<Shutdown>, deadline: Instant) -> Vec<Option<String>> {
    let mut errors = vec![Some("no response in time".to_owned()); shutdowns.len()];
    let (sender, results) = mpsc::channel();
    let mut running = 0;
    for (index, shutdown) in shutdowns.into_iter().enumerate() {
        let sender = sender.clone();
        let started = thread::Builder::new().name("telemetry-shutdown".into()).spawn(move || {
            // This fails after the deadline, when the receiver no longer exists.
            let _ = sender.send((index, shutdown()));
        });
        match started {
            Ok(_) => running += 1,
            Err(error) => {
                errors[index] = Some(format!("the thread for the shutdown cannot be started: {error}"));
            }
        }
    }
    for _ in 0..running {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let Ok((index, result)) = results.recv_timeout(remaining) else { break };
        errors[index] = shutdown_error(result);
    }
    errors
}

/// Returns the error from a provider's shutdown. It is not an error if the provider was already shut down.
fn shutdown_error(result: OTelSdkResult) -> Option<String> {
    match result {
        Ok(()) | Err(OTelSdkError::AlreadyShutdown) => None,
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
#[cfg(all(feature = "otlp-grpc", feature = "otlp-http"))]
mod tests;
