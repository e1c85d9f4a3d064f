//! The metrics of the library about itself, of the process and of the Tokio runtime are stored, and they count each span.

use anyhow::{Result, ensure};
use sightline::stack::AGENT;
use sightline_tests::caller::Caller;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDERS, TestStack};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_standalone("self_telemetry::exported_and_lost_spans_are_all_spans", outage);
    suite.add_shared("self_telemetry::documented_metrics_are_stored", documented);
}

/// The names in the tables of `docs/telemetry.md`: the first column has OpenTelemetry's name, the second column the name
/// in Prometheus. A histogram is stored with a suffix.
fn documented_names() -> Vec<(String, String)> {
    let page = include_str!("../../../docs/telemetry.md");
    let cells = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ").map(|cell| cell.trim_matches(['`', ' ', '|']));
        Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
    });
    let own = |(name, _): &(String, String)| {
        ["otel.sdk.", "process.", "tokio.", "sightline.console.", "sightline.certificate."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    // The tables of the resource attributes have no second name.
    cells.filter(own).filter(|(_, stored)| !stored.contains(' ')).collect()
}

async fn documented(stack: &TestStack) -> Result<()> {
    let response = stack.get_order(&Caller::new(), "3").await?;
    ensure!(response.status == 200, "{response:?}");
    let names = documented_names();
    ensure!(names.len() > 25, "docs/telemetry.md documents only {names:?}");
    let check = async || {
        let series = stack.find_series(&format!("{{service_name=\"{ORDERS}\"}}")).await?;
        let page = stack.metrics(stack.inner().ports().admin(ORDERS)?).await?;
        let mut missing = Vec::new();
        for (_, name) in &names {
            let stored =
                if name.ends_with("_duration_seconds") { format!("{name}_count") } else { name.clone() };
            if !series.iter().any(|(labels, _)| labels.get("__name__") == Some(&stored)) {
                missing.push(format!("{stored} in the store"));
            }
            if page.sum(&stored, &[]).is_none() {
                missing.push(format!("{stored} on /metrics"));
            }
        }
        ensure!(missing.is_empty(), "missing: {missing:#?}");
        // The values are of the right order of magnitude.
        for (name, least, most) in [
            ("process_cpu_time_seconds_total", 0.001, 600.0),
            ("process_memory_usage_bytes", 1e6, 1e9),
            ("process_unix_file_descriptor_count", 5.0, 1e4),
            ("process_uptime_seconds", 0.1, 3_600.0),
            ("tokio_workers", 1.0, 1e3),
        ] {
            let value = page.sum(name, &[]).unwrap_or_default();
            ensure!((least..most).contains(&value), "{name} is {value}");
        }
        Ok(())
    };
    stack.eventually("the documented metrics are stored", check).await
}

/// The agent is away while orders are served, and the small queue of the service drops spans. The loss is in the metrics
/// while the service runs. At the end, the stored metrics and the service's report of lost spans agree.
async fn outage() -> Result<()> {
    const QUEUE: &str = "64";
    let mut stack = TestStack::start(|config| config).await?;
    let service = stack.start_single_service(ORDERS, |config| {
        config.with(ORDERS, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE).with(
            ORDERS,
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            QUEUE,
        )
    });
    let mut service = service.await?;
    serve_orders(&stack, &service.url()?).await?;
    stack.stop_process(AGENT).await?;
    for _ in 0..3 {
        serve_orders(&stack, &service.url()?).await?;
    }
    let page = stack.metrics(service.admin_port()?).await?;
    let full = [("error_type", "queue_full")];
    let dropped = page.sum("otel_sdk_processor_span_processed_total", &full);
    ensure!(dropped.is_some_and(|dropped| dropped > 0.0), "the full queue dropped {dropped:?} spans");
    let waiting = page.sum("otel_sdk_processor_span_queue_size", &[]);
    let capacity = page.sum("otel_sdk_processor_span_queue_capacity", &[]);
    ensure!(waiting == capacity && capacity == QUEUE.parse().ok(), "{waiting:?} of {capacity:?} spans wait");
    ensure!(
        service.log()?.matches("the queue of spans to otlp is full").count() == 1,
        "the log does not report the full queue once: {}",
        service.log_tail()
    );
    stack.start_processes(&[AGENT]).await?;
    serve_orders(&stack, &service.url()?).await?;
    service.stop().await?;

    let (lost, all) = service.lost_spans()?;
    let check = async || {
        let spans = r#"{service_name="orders"}"#;
        let value = async |metric: &str, more: &str| {
            let query = format!("sum({metric}{})", spans.replace('}', more));
            Ok::<_, anyhow::Error>(stack.stored_metric(&query).await?.unwrap_or_default())
        };
        let sampled = r#",otel_span_sampling_result="RECORD_AND_SAMPLE"}"#;
        let started = value("otel_sdk_span_started_total", sampled).await?;
        let exported = value("otel_sdk_exporter_span_exported_total", r#",error_type=""}"#).await?;
        let failed = value("otel_sdk_exporter_span_exported_total", r#",error_type!=""}"#).await?;
        let dropped =
            value("otel_sdk_processor_span_processed_total", r#",error_type="queue_full"}"#).await?;
        let stored = [started, exported, dropped + failed];
        let reported = [all, all - lost, lost].map(f64::from);
        ensure!(
            stored.iter().zip(reported).all(|(stored, reported)| (stored - reported).abs() < 0.5),
            "{started} spans started, {exported} exported, {dropped} dropped, {failed} failed, \
             but the service has reported {lost} of {all} lost"
        );
        Ok(())
    };
    stack.eventually("the stored metrics agree with the report of lost spans", check).await?;
    stack.stop().await
}

async fn serve_orders(stack: &TestStack, url: &url::Url) -> Result<()> {
    for order in 1..=20 {
        let response = Caller::new().get(stack.http(), url, &format!("orders/{order}")).await?;
        ensure!(response.status == 200, "{response:?}");
    }
    Ok(())
}
