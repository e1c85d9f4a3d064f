//! The function that starts telemetry, and the guard that flushes it at shutdown.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::global;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::context::propagators;
use crate::delivery::export::{Delivery, ExportThread};
use crate::delivery::otlp::Exporters;
use crate::error::{ShutdownError, StartError};
use crate::lifecycle::builder::Extensions;
use crate::resource;
use crate::service::Service;
use crate::settings::Settings;
use crate::signals::added::Stop;
use crate::signals::logs::Console;
use crate::signals::metrics::Registry;
use crate::signals::{logs, metrics, scope, traces};

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

/// Starts telemetry with the parts that the program adds.
pub(super) fn launch(
    service: &Service,
    settings: &Settings,
    mut extensions: Extensions,
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
    let signals = Signals::start(settings, extensions, &resource, &registry)?;
    let console = logs::subscribe(&settings.logs, Some(&signals.traces), signals.logs.as_ref(), layers)?;
    // The call creates a log record, so the subscriber must already be installed.
    missing.log();
    global::set_tracer_provider(signals.traces.clone());
    global::set_meter_provider(signals.metrics.clone());
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
        let mut exporters = Exporters::new(&thread, settings.tls_reload_interval);
        let (traces, deliveries) = traces::provider(
            &settings.traces,
            traces_extensions,
            &mut added,
            resource,
            &thread,
            &mut exporters,
        )?;
        let metrics = metrics::provider(
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
        Ok(Self { traces, metrics, logs, log_delivery, deliveries, added, thread })
    }

    /// Shuts the three providers and the parts that the program adds down in parallel, each with the given timeout, and
    /// describes what was lost.
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
        let mut shutdowns: Vec<Shutdown> = vec![
            Box::new(move || traces.shutdown_with_timeout(timeout)),
            Box::new(move || metrics.shutdown_with_timeout(timeout)),
            Box::new(move || logs.map_or(Ok(()), |logs| logs.shutdown_with_timeout(timeout))),
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
mod tests {
    use super::*;
    use crate::settings::MapEnv;
    use crate::testing::fake_collector::{FakeCollector, free_port};
    use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
    use std::io::{Read as _, Write as _};

    const SERVICE: Service = Service { name: "shop", version: "1.2.3" };

    #[test]
    fn telemetry_can_be_shared_between_threads() {
        fn check<T: Send + Sync>() {}
        check::<Telemetry>();
    }

    fn signals<const N: usize>(port: u16, more: [(&str, &str); N]) -> Signals {
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut env = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
        ];
        env.extend(more);
        let settings = Settings::read(&MapEnv::from_iter(env)).unwrap();
        let (resource, _) = resource::detect(&SERVICE, &settings.resource, &resource::Additions::default());
        Signals::start(&settings, Extensions::default(), &resource, &Registry::default()).unwrap()
    }

    fn make_spans(signals: &Signals, count: usize) {
        let tracer = signals.traces.tracer("test");
        (0..count).for_each(|_| tracer.start("work").end());
    }

    /// This case is the reason for the export thread: the runtime has a single worker thread, and the shutdown blocks
    /// that thread.
    #[tokio::test(flavor = "current_thread")]
    async fn shutdown_on_the_only_worker_thread_delivers_everything() {
        for protocol in ["grpc", "http/protobuf"] {
            let collector = FakeCollector::start();
            let signals = signals(collector.port(), [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
            make_spans(&signals, 100);
            assert_eq!(signals.shutdown(Duration::from_secs(5)), Vec::<String>::new(), "{protocol}");
            assert_eq!(collector.spans(), 100, "{protocol}");
        }
    }

    #[test]
    fn delivers_everything_to_a_collector_that_starts_late() {
        let port = free_port();
        let signals = signals(port, [("OTEL_BSP_SCHEDULE_DELAY", "10")]);
        make_spans(&signals, 100);
        // This fails because the Collector is not running yet.
        let _ = signals.traces.force_flush();
        let collector = FakeCollector::start_on(port);
        make_spans(&signals, 100);
        assert_eq!(signals.shutdown(Duration::from_secs(8)), Vec::<String>::new());
        assert_eq!(collector.spans(), 200);
    }

    /// Starts a server that accepts the given number of connections, one after another. On each connection, the server
    /// writes `farewell` instead of a response and then closes the connection. Afterwards, a fake Collector takes over
    /// the port. Returns the port, and the thread that returns the fake Collector.
    fn start_breaking(
        connections: usize,
        farewell: &'static [u8],
    ) -> (u16, thread::JoinHandle<FakeCollector>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let successor = thread::spawn(move || {
            for _ in 0..connections {
                let (mut connection, _) = listener.accept().unwrap();
                // Read more bytes than a client sends before its first request, so that the connection closes after the
                // request has begun.
                connection.read_exact(&mut [0; 1_000]).unwrap();
                connection.write_all(farewell).unwrap();
            }
            drop(listener);
            FakeCollector::start_on(port)
        });
        (port, successor)
    }

    #[test]
    fn retries_when_a_connection_breaks_before_the_response() {
        // A SETTINGS frame, and a GOAWAY frame which says that no stream was processed (RFC 9113, sections 6.5 and
        // 6.8).
        let goaway = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
        for farewell in [&b""[..], goaway] {
            let (port, successor) = start_breaking(4, farewell);
            let signals =
                signals(port, [("OTEL_METRICS_EXPORTER", "none"), ("OTEL_BSP_SCHEDULE_DELAY", "10")]);
            make_spans(&signals, 100);
            let collector = successor.join().unwrap();
            assert_eq!(signals.shutdown(Duration::from_secs(8)), Vec::<String>::new(), "{farewell:?}");
            assert_eq!(collector.spans(), 100, "{farewell:?}");
        }
    }

    #[test]
    fn counts_spans_that_were_not_delivered() {
        let signals =
            signals(free_port(), [("OTEL_BSP_EXPORT_TIMEOUT", "50"), ("OTEL_METRICS_EXPORTER", "none")]);
        make_spans(&signals, 7);
        assert_eq!(signals.shutdown(Duration::from_secs(5)), ["7 of 7 spans to otlp"]);
    }

    #[test]
    fn counts_spans_that_a_full_queue_dropped() {
        let collector = FakeCollector::start();
        let small = [("OTEL_BSP_MAX_QUEUE_SIZE", "4"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")];
        let signals = signals(collector.port(), small);
        make_spans(&signals, 5_000);
        let lost = signals.shutdown(Duration::from_secs(5));
        let missing = 5_000 - collector.spans();
        assert!(missing > 0, "the queue of 4 was never full");
        assert_eq!(lost, [format!("{missing} of 5000 spans to otlp")]);
    }

    #[test]
    fn shutdown_respects_its_timeout_when_the_server_does_not_respond() {
        // This listener accepts connections but never sends anything.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let signals = signals(silent.local_addr().unwrap().port(), []);
        make_spans(&signals, 3);
        let started = Instant::now();
        let lost = signals.shutdown(Duration::from_millis(300));
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        assert!(lost.contains(&"3 of 3 spans to otlp".to_owned()), "{lost:?}");
    }
}
