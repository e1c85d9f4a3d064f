//! Checks the metrics of the process and of the Tokio runtime. The meter provider belongs to the whole process, so this
//! test has a program of its own.

use std::time::{Duration, Instant};

use sightline_telemetry::settings::{MapEnv, Settings, names};
use sightline_telemetry::{Telemetry, service, start};

/// The sum over all series of a metric, or -1 if the metric is not on `/metrics`.
fn value(telemetry: &Telemetry, name: &str) -> f64 {
    let families = telemetry.registry().gather();
    let Some(family) = families.iter().find(|family| family.name() == name) else { return -1.0 };
    family.get_metric().iter().map(|of| of.get_counter().get_value() + of.get_gauge().get_value()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn reports_the_process_and_the_runtime_that_telemetry_starts_in() {
    let env = MapEnv::from_iter([
        (names::TRACES_EXPORTER, "none"),
        (names::METRICS_EXPORTER, "prometheus"),
        (names::LOGS_EXPORTER, "none"),
    ]);
    let telemetry = start(&service!(), &Settings::read(&env).unwrap()).unwrap();

    assert!((value(&telemetry, "tokio_workers") - 3.0).abs() < 0.5);
    let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
    assert!(value(&telemetry, "tokio_alive_tasks") >= 20.0);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(value(&telemetry, "tokio_global_queue_depth") >= 0.0);
    assert!(value(&telemetry, "tokio_worker_park_count_total") > 0.0);

    let busy = Instant::now();
    let before = value(&telemetry, "process_cpu_time_seconds_total");
    while value(&telemetry, "process_cpu_time_seconds_total") < before + 0.05 {
        assert!(busy.elapsed() < Duration::from_secs(30), "the CPU time does not grow");
    }
    // A worker counts its busy time when it parks.
    tokio::spawn(async {
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(20) {}
    })
    .await
    .unwrap();
    while value(&telemetry, "tokio_worker_busy_duration_milliseconds_total") < 10.0 {
        assert!(busy.elapsed() < Duration::from_mins(1), "the busy time does not grow");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    let memory = value(&telemetry, "process_memory_usage_bytes");
    assert!((1e6..1e10).contains(&memory), "{memory} bytes");
    assert!(value(&telemetry, "process_memory_virtual_bytes") >= memory);
    assert!(value(&telemetry, "process_thread_count") >= 4.0, "three workers and the main thread");
    assert!(value(&telemetry, "process_unix_file_descriptor_count") >= 3.0);
    assert!((0.0..3_600.0).contains(&value(&telemetry, "process_uptime_seconds")));
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
}
