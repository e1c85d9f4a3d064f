//! The one call that starts telemetry, and the guard that ends it without losing any.

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

use crate::error::{ShutdownError, StartError};
use crate::export::{Delivery, ExportThread};
use crate::logs::Console;
use crate::otlp::Exporters;
use crate::settings::Settings;
use crate::{Service, logs, metrics, propagators, resource, traces};

/// Starts traces, metrics and logs for this process, and makes them OpenTelemetry's and `tracing`'s global ones.
///
/// Call it once, early, on any thread, inside or outside of a runtime. Keep the guard and end it with
/// [`Telemetry::shutdown`]: dropping it flushes too, but has nobody to tell what was lost.
pub fn start(service: &Service, settings: &Settings) -> Result<Telemetry, StartError> {
    global::set_text_map_propagator(propagators::composite(&settings.propagators));
    let registry = prometheus::Registry::new();
    if settings.disabled {
        let console = logs::subscribe(&settings.logs, None, None)?;
        return Ok(Telemetry { registry, console, signals: None });
    }

    let (resource, missing) = resource::detect(service, &settings.resource);
    let signals = Signals::start(settings, &resource, &registry)?;
    let console = logs::subscribe(&settings.logs, Some(&signals.traces), signals.logs.as_ref())?;
    // Only now is there anyone to hear it.
    missing.log();
    global::set_tracer_provider(signals.traces.clone());
    global::set_meter_provider(signals.metrics.clone());
    Ok(Telemetry { registry, console, signals: Some(signals) })
}

/// The guard of the process's telemetry.
#[derive(Debug)]
#[must_use = "telemetry ends when its guard is dropped"]
pub struct Telemetry {
    registry: prometheus::Registry,
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
    // Last: exporters need it until they have ended.
    thread: ExportThread,
}

impl Telemetry {
    /// How long a shutdown that nobody gave a time may take.
    const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(5);

    /// Where Prometheus's form of the metrics is read from.
    #[must_use]
    pub fn registry(&self) -> &prometheus::Registry {
        &self.registry
    }

    /// Flushes what is waiting and ends, within `within`. The error says what did not arrive, over the whole life
    /// of the process and not only now. What is logged from here on goes to the console alone.
    ///
    /// This blocks, and may be called from async code: exporters do not need the caller's runtime.
    pub fn shutdown(mut self, within: Duration) -> Result<(), ShutdownError> {
        self.end(within)
    }

    fn end(&mut self, within: Duration) -> Result<(), ShutdownError> {
        let mut lost = self.signals.take().map(|signals| signals.end(within)).unwrap_or_default();
        lost.extend(self.console.take().and_then(|console| console.lost()));
        if lost.is_empty() { Ok(()) } else { Err(ShutdownError { lost }) }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // After `shutdown` there is nothing left to end.
        let _ = self.end(Self::DEFAULT_SHUTDOWN);
    }
}

impl Signals {
    fn start(
        settings: &Settings,
        resource: &Resource,
        registry: &prometheus::Registry,
    ) -> Result<Self, StartError> {
        let thread = ExportThread::start().map_err(StartError::Thread)?;
        let mut exporters = Exporters::new(&thread, settings.tls_reload_interval);
        let (traces, deliveries) = traces::provider(&settings.traces, resource, &thread, &mut exporters)?;
        let metrics = metrics::provider(&settings.metrics, resource, &thread, &mut exporters, registry)?;
        let logs = logs::provider(&settings.logs, resource, &thread, &mut exporters)?;
        let (logs, log_delivery) = logs.unzip();
        Ok(Self { traces, metrics, logs, log_delivery, deliveries, thread })
    }

    /// Ends the three at once, each within the time, and tells what was lost.
    fn end(self, within: Duration) -> Vec<String> {
        let Self { traces, metrics, logs, log_delivery, mut deliveries, thread } = self;
        if let Some(delivery) = log_delivery {
            // With RUST_LOG=debug the three tell how they end. One of them would be last, and be lost, and be counted.
            delivery.close();
            deliveries.push(delivery);
        }
        let deadline = Instant::now() + within;
        let (done, outcomes) = mpsc::channel();
        let end = |name: &'static str, end: Box<dyn FnOnce() -> OTelSdkResult + Send>| {
            let done = done.clone();
            thread::Builder::new().name("telemetry-shutdown".into()).spawn(move || {
                // The receiver is gone when the time is over.
                let _ = done.send((name, end()));
            })
        };
        let started = [
            end("traces", Box::new(move || traces.shutdown_with_timeout(within))),
            end("metrics", Box::new(move || metrics.shutdown_with_timeout(within))),
            end("logs", Box::new(move || logs.map_or(Ok(()), |logs| logs.shutdown_with_timeout(within)))),
        ];
        let running = started.iter().filter(|thread| thread.is_ok()).count();

        let mut metrics_error = Some("metrics since their last export: no answer in time".to_owned());
        let mut finished = 0;
        for _ in 0..running {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((name, outcome)) = outcomes.recv_timeout(left) else { break };
            let error = unfinished(outcome);
            finished += usize::from(error.is_none());
            if name == "metrics" {
                metrics_error = error.map(|error| format!("metrics since their last export: {error}"));
            }
        }
        if finished < started.len() {
            // An exporter may still be at it, and would panic without its runtime. The process is ending anyhow.
            std::mem::forget(thread);
        }
        // Spans and log records are counted one by one; what a provider says of them adds nothing.
        deliveries.iter().filter_map(|delivery| delivery.lost()).chain(metrics_error).collect()
    }
}

/// An error of a shutdown that means a loss.
fn unfinished(outcome: OTelSdkResult) -> Option<String> {
    match outcome {
        Ok(()) | Err(OTelSdkError::AlreadyShutdown) => None,
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_collector::{Collector, free_port};
    use crate::settings::MapEnv;
    use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
    use std::io::{Read as _, Write as _};

    const SERVICE: Service = Service { name: "shop", version: "1.2.3" };

    fn signals<const N: usize>(port: u16, more: [(&str, &str); N]) -> Signals {
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut env = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
        ];
        env.extend(more);
        let settings = Settings::read(&MapEnv::from_iter(env)).unwrap();
        let (resource, _) = resource::detect(&SERVICE, &settings.resource);
        Signals::start(&settings, &resource, &prometheus::Registry::new()).unwrap()
    }

    fn make_spans(signals: &Signals, count: usize) {
        let tracer = signals.traces.tracer("test");
        (0..count).for_each(|_| tracer.start("work").end());
    }

    /// The trap this crate's export thread is for: one worker, blocked by the shutdown itself.
    #[tokio::test(flavor = "current_thread")]
    async fn a_shutdown_that_blocks_the_only_worker_loses_nothing() {
        for protocol in ["grpc", "http/protobuf"] {
            let collector = Collector::start();
            let signals = signals(collector.port(), [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
            make_spans(&signals, 100);
            assert_eq!(signals.end(Duration::from_secs(5)), Vec::<String>::new(), "{protocol}");
            assert_eq!(collector.spans(), 100, "{protocol}");
        }
    }

    #[test]
    fn a_collector_that_comes_late_gets_everything() {
        let port = free_port();
        let signals = signals(port, [("OTEL_BSP_SCHEDULE_DELAY", "10")]);
        make_spans(&signals, 100);
        // An attempt has failed before there is anyone to answer.
        let _ = signals.traces.force_flush();
        let collector = Collector::start_on(port);
        make_spans(&signals, 100);
        assert_eq!(signals.end(Duration::from_secs(8)), Vec::<String>::new());
        assert_eq!(collector.spans(), 200);
    }

    /// Says `answer` to each of `connections` before it answers a request, and hangs up. Then a collector takes its place.
    fn breaking(connections: usize, answer: &'static [u8]) -> (u16, thread::JoinHandle<Collector>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let successor = thread::spawn(move || {
            for _ in 0..connections {
                let (mut connection, _) = listener.accept().unwrap();
                // Longer than what a client says before its first request.
                connection.read_exact(&mut [0; 1_000]).unwrap();
                connection.write_all(answer).unwrap();
            }
            drop(listener);
            Collector::start_on(port)
        });
        (port, successor)
    }

    #[test]
    fn connections_that_break_before_the_answer_cost_nothing() {
        // RFC 9113, 6.5 and 6.8: the settings, and that no stream was or will be looked at.
        let goes_away = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
        for answer in [&b""[..], goes_away] {
            let (port, successor) = breaking(4, answer);
            let signals =
                signals(port, [("OTEL_METRICS_EXPORTER", "none"), ("OTEL_BSP_SCHEDULE_DELAY", "10")]);
            make_spans(&signals, 100);
            let collector = successor.join().unwrap();
            assert_eq!(signals.end(Duration::from_secs(8)), Vec::<String>::new(), "{answer:?}");
            assert_eq!(collector.spans(), 100, "{answer:?}");
        }
    }

    #[test]
    fn what_never_arrives_is_counted_and_said() {
        let signals =
            signals(free_port(), [("OTEL_BSP_EXPORT_TIMEOUT", "50"), ("OTEL_METRICS_EXPORTER", "none")]);
        make_spans(&signals, 7);
        assert_eq!(signals.end(Duration::from_secs(5)), ["7 of 7 spans to otlp"]);
    }

    #[test]
    fn what_the_queue_had_no_room_for_is_counted_too() {
        let collector = Collector::start();
        let small = [("OTEL_BSP_MAX_QUEUE_SIZE", "4"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")];
        let signals = signals(collector.port(), small);
        make_spans(&signals, 5_000);
        let lost = signals.end(Duration::from_secs(5));
        let missing = 5_000 - collector.spans();
        assert!(missing > 0, "the queue of 4 was never full");
        assert_eq!(lost, [format!("{missing} of 5000 spans to otlp")]);
    }

    #[test]
    fn a_shutdown_keeps_its_time_when_nobody_answers() {
        // Accepts connections and never speaks.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let signals = signals(silent.local_addr().unwrap().port(), []);
        make_spans(&signals, 3);
        let begun = Instant::now();
        let lost = signals.end(Duration::from_millis(300));
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert!(lost.contains(&"3 of 3 spans to otlp".to_owned()), "{lost:?}");
    }
}
