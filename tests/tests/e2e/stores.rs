//! The metrics store and the log store have what the services sent, each item once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use reqwest::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN};
use serde_json::Value;
use sightline::jaeger::TraceId;
use sightline::stack::{AGENT, GATEWAY, VICTORIA_LOGS, VICTORIA_METRICS, VMAUTH, free_port};
use sightline_tests::caller::Caller;
use sightline_tests::otlp::{Credentials, OtlpEndpoint, send_logs_over_http};
use sightline_tests::signal::{Signal, send};
use sightline_tests::stores::ORDER_REQUESTS;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDERS, SERVICES, TestStack, USERS};

use crate::outage::Traffic;

pub(crate) fn add(suite: &mut Suite) {
    suite.add_standalone("stores::lose_nothing_while_they_are_away", away);
    suite.add_standalone("stores::two_gateways_count_each_request_once", two_gateways);
    suite.add_shared("stores::find_the_log_records_of_a_trace", logs_of_a_trace);
    suite.add_shared("stores::have_no_secrets_of_log_records", masked);
    suite.add_shared("stores::pages_are_for_this_machine_and_only_read", pages);
}

/// Each order has one log record of each service.
async fn logs_of_a_trace(stack: &TestStack) -> Result<()> {
    let response = stack.get_order(&Caller::new(), "3").await?;
    let query = format!("trace_id:={}", response.trace);
    let check = async || {
        let records = stack.find_logs(&query).await?;
        let services: BTreeSet<_> =
            records.iter().filter_map(|record| record["service.name"].as_str()).collect();
        ensure!(records.len() == 3 && services == BTreeSet::from(SERVICES), "{query} finds {records:#?}");
        Ok(())
    };
    stack.eventually("the log records of the order are found by its trace ID", check).await
}

/// Two gateways share the traces. The sum over both has to be the number of orders, and Jaeger has to show their latency.
async fn two_gateways() -> Result<()> {
    const SENT: usize = 60;
    let (first, second) = (free_port()?, free_port()?);
    let stack = TestStack::start(|config| {
        config
            .with(GATEWAY, "SIGHTLINE_OTLP_GRPC_PORT", first.to_string())
            .with(AGENT, "SIGHTLINE_GATEWAYS", format!(r#"["127.0.0.1:{first}","127.0.0.1:{second}"]"#))
            .with(AGENT, "SIGHTLINE_GATEWAY_ENDPOINT", format!("127.0.0.1:{first}"))
    });
    let stack = stack.await?;
    let other = stack.start_single_service(GATEWAY, |config| {
        config.with(GATEWAY, "SIGHTLINE_OTLP_GRPC_PORT", second.to_string()).with(
            GATEWAY,
            "SIGHTLINE_GATEWAY_NAME",
            "other",
        )
    });
    let mut other = other.await?;

    let mut milliseconds = Vec::new();
    for _ in 0..SENT {
        let began = Instant::now();
        let response = stack.get_order(&Caller::new(), "7").await?;
        ensure!(response.status == 200, "{response:?}");
        milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let sent = f64::from(u32::try_from(SENT)?);
    let calls = r#"traces_span_metrics_calls_total{service_name="orders",span_kind="SPAN_KIND_SERVER"}"#;
    let check = async || {
        for query in [
            format!("sum({ORDER_REQUESTS})"),
            format!("sum({})", ORDER_REQUESTS.replace("_count{", r#"_bucket{le="+Inf","#)),
            format!("sum({calls})"),
        ] {
            let stored = stack.stored_metric(&query).await?;
            ensure!(stored == Some(sent), "{query} is {stored:?} after {SENT} orders");
        }
        let by_gateway = stack.find_series(&format!("sum by (sightline_gateway) ({calls})")).await?;
        let names: BTreeSet<_> =
            by_gateway.iter().filter_map(|(labels, _)| labels.get("sightline_gateway")).collect();
        ensure!(names.len() == 2, "one gateway has counted all orders: {by_gateway:?}");
        Ok(())
    };
    stack.eventually("the stored metrics count each order once", check).await?;

    let (least, most) = milliseconds.iter().fold((f64::MAX, 0.0_f64), |(a, b), &x| (a.min(x), b.max(x)));
    let check = async || {
        // A rate needs counters that grow between two exports.
        stack.get_order(&Caller::new(), "7").await?;
        let latency = monitor_latency(&stack).await?.context("no latency is shown")?;
        ensure!(
            (least / 10.0..most * 10.0).contains(&latency),
            "{latency} ms, measured {least} to {most} ms"
        );
        Ok(())
    };
    stack.eventually("Jaeger's Monitor shows the latency of orders", check).await?;
    let exit = other.stop().await?;
    ensure!(exit.is_clean(), "{}, {}", exit.describe(), other.log_tail());
    stack.stop().await
}

/// Returns the last 95th percentile of the duration of orders in Jaeger's Monitor, in milliseconds.
async fn monitor_latency(stack: &TestStack) -> Result<Option<f64>> {
    let query = [
        ("service", ORDERS),
        ("quantile", "0.95"),
        ("groupByOperation", "true"),
        ("spanKind", "server"),
        ("lookback", "300000"),
        ("step", "1000"),
        ("ratePer", "60000"),
    ];
    let family: Value = serde_json::from_str(&stack.page("/api/metrics/latencies", &query).await?)?;
    let metrics = family["metrics"].as_array().cloned().unwrap_or_default();
    let is_order = |metric: &&Value| {
        let labels = metric["labels"].as_array().into_iter().flatten();
        labels.into_iter().any(|label| label["value"] == "GET /orders/{id}")
    };
    let Some(metric) = metrics.iter().find(is_order) else { return Ok(None) };
    let points = metric["metricPoints"].as_array().into_iter().flatten();
    Ok(points
        .filter_map(|point| point["gaugeValue"]["doubleValue"].as_f64())
        .rfind(|value| value.is_finite()))
}

/// The time without the stores.
const AWAY: Duration = Duration::from_secs(4);

/// First, both stores hang. Then the metrics store is killed, and the log store gets SIGTERM, because after SIGKILL the
/// records of its last seconds are lost.
async fn away() -> Result<()> {
    let mut stack = TestStack::start(|config| config).await?;
    let mut traffic = Traffic::start(&stack)?;
    traffic.wait_for_orders(&stack, "before").await?;
    for (signal, phase) in [(Signal::STOP, "the stores hang"), (Signal::CONT, "the stores continue")] {
        for store in [VICTORIA_METRICS, VICTORIA_LOGS] {
            send(stack.inner().pid(store).context(store)?, signal)?;
        }
        serve_orders(&mut traffic, &stack, phase).await?;
    }
    traffic.begin_phase("the stores stop");
    stack.inner_mut().kill_process(VICTORIA_METRICS).await?;
    stack.stop_process(VICTORIA_LOGS).await?;
    serve_orders(&mut traffic, &stack, "without the stores").await?;
    traffic.begin_phase("the stores start");
    stack.start_processes(&[VICTORIA_METRICS, VICTORIA_LOGS]).await?;
    traffic.wait_for_orders(&stack, "after").await?;
    let sent = traffic.stop().await?;
    wait_until_all_stored(&stack, &sent).await?;
    stack.stop().await
}

/// Waits until each order is counted once and has its three log records. An order is a trace and the phase in which the
/// order was served.
pub(crate) async fn wait_until_all_stored(stack: &TestStack, sent: &[(TraceId, String)]) -> Result<()> {
    let check = async || {
        let records = stack.stored_logs().await?;
        let mut wrong = Vec::new();
        for (id, phase) in sent {
            let found = records.iter().filter(|record| record.trace_id == id.as_str()).count();
            if found != SERVICES.len() {
                wrong.push(format!("{id} ({phase}): {found}"));
            }
        }
        ensure!(
            wrong.is_empty(),
            "{} of {} orders have not three log records: {wrong:?}",
            wrong.len(),
            sent.len()
        );
        let counted = stack.stored_metric(&format!("sum({ORDER_REQUESTS})")).await?;
        ensure!(
            counted == Some(f64::from(u32::try_from(sent.len())?)),
            "{counted:?} of {} orders",
            sent.len()
        );
        Ok(())
    };
    stack.eventually("each order is counted once and has its three log records", check).await
}

/// Waits for [`AWAY`] while orders are served.
pub(crate) async fn serve_orders(traffic: &mut Traffic, stack: &TestStack, phase: &str) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < AWAY {
        traffic.wait_for_orders(stack, phase).await?;
    }
    Ok(())
}

/// A service that does not use our library sends a log record with secrets.
async fn masked(stack: &TestStack) -> Result<()> {
    let caller = Caller::without_context();
    let unique = caller.trace_id();
    let text = format!("sign-in of ada.{unique}@example.org with password=hunter{unique}");
    let record = LogRecord {
        time_unix_nano: u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp_nanos())?,
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }),
        trace_id: u128::from_str_radix(unique, 16)?.to_be_bytes().to_vec(),
        ..LogRecord::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    };
    let files = stack.inner().tls_files(USERS);
    let credentials = Credentials::Certificate { trust: files.clone(), identity: files };
    let agent = OtlpEndpoint::local(stack.inner().ports().number(AGENT, "otlp-http")?);
    send_logs_over_http(&agent, &credentials, request).await?;
    let check = async || {
        let records = stack.find_logs(&format!("trace_id:={unique}")).await?;
        let record = records.first().context("the log record is not stored")?;
        ensure!(record["_msg"] == "sign-in of **** with ****", "{record:#}");
        Ok(())
    };
    stack.eventually("the log record is stored without its secrets", check).await
}

/// A page of another site cannot read what is stored, and no page can change it.
async fn pages(stack: &TestStack) -> Result<()> {
    let pages = stack.inner().pages_url();
    for (path, text) in [("/", "Jaeger UI"), ("/prometheus/vmui/", "vmui"), ("/select/vmui/", "VictoriaLogs")]
    {
        let page = stack.page(path, &[]).await?;
        ensure!(page.contains(text), "{path} has no text {text:?}:\n{page}");
        // A site whose name resolves to 127.0.0.1 sends its own name.
        for host in ["rebind.example", "rebind.example:16686", "localhost.example"] {
            let response = stack.http().get(format!("{pages}{path}")).header(HOST, host).send().await?;
            ensure!(response.status() == 400, "{path} for {host} responded with {}", response.status());
        }
    }

    stack
        .eventually("a metric is stored", async || {
            let stored = stack.find_series("{__name__!=''}").await?;
            ensure!(!stored.is_empty(), "no series");
            Ok(())
        })
        .await?;
    for path in ["/prometheus/api/v1/admin/tsdb/delete_series", "/api/v1/admin/tsdb/delete_series"] {
        let parameters = [("match[]", "{__name__!=''}")];
        let url = url::Url::parse_with_params(&format!("{pages}{path}"), parameters)?;
        stack.http().post(url).send().await?;
    }
    let stored = stack.find_series("{__name__!=''}").await?;
    ensure!(!stored.is_empty(), "a page has deleted all series");

    let ports = stack.inner().ports();
    let logs = ports.number(VICTORIA_LOGS, "http")?;
    let metrics = ports.number(VICTORIA_METRICS, "http")?;
    let own = ports.number(VMAUTH, "pages")?;
    for (port, path) in [
        (own, "/api/services"),
        (own, "/prometheus/api/v1/labels"),
        (own, "/select/logsql/query?query=*"),
        (own, "/select/logsql/tail?query=*"),
        (metrics, "/api/v1/labels"),
        (logs, "/select/logsql/query?query=*"),
    ] {
        // The response to `tail` starts with the first new log record.
        stack.get_order(&Caller::new(), "5").await?;
        let request = stack.http().get(format!("http://127.0.0.1:{port}{path}"));
        let response = request.header(ORIGIN, "http://other.example").send().await?;
        let allowed = response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN);
        ensure!(response.status() == 200 && allowed.is_none(), "{path} of port {port}: {response:?}");
    }
    Ok(())
}
