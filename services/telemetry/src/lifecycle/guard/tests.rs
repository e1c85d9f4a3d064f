//! Telemetry with a fake Collector: what is delivered, and what is counted as lost.

#[cfg(feature = "prometheus")]
mod sdk_metrics;

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
    start_signals(port, more, Extensions::default(), &Registry::default())
}

fn start_signals<const N: usize>(
    port: u16,
    more: [(&str, &str); N],
    extensions: Extensions,
    registry: &Registry,
) -> Signals {
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut env = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ];
    env.extend(more);
    let settings = Settings::read(&MapEnv::from_iter(env)).unwrap();
    let (resource, _) = resource::detect(&SERVICE, &settings.resource, &resource::Additions::default());
    Signals::start(&settings, extensions, &resource, registry).unwrap()
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
fn start_breaking(connections: usize, farewell: &'static [u8]) -> (u16, thread::JoinHandle<FakeCollector>) {
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
        let signals = signals(port, [("OTEL_METRICS_EXPORTER", "none"), ("OTEL_BSP_SCHEDULE_DELAY", "10")]);
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
