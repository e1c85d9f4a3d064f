//! Each metric and label in the dashboards, the alerts and the documents exists in a running stack.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sightline::stack::{AGENT, GATEWAY};
use sightline_tests::caller::Caller;
use sightline_tests::dashboards::{self, promql};
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{TestStack, root};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("dashboards::name_only_metrics_and_labels_that_exist", metrics_exist);
    suite.add_shared("dashboards::vmui_has_them", provisioned);
    suite.add_shared("dashboards::no_metric_is_both_sent_and_scraped", once);
}

/// Selectors that match nothing while all is well, and what has to happen before they match.
const UNSEEN: [(&str, &str); 14] = [
    (r#"db_client_operation_duration_seconds_count{error_type!=""}"#, "a database call fails"),
    ("otelcol_exporter_enqueue_failed_spans_total", "a queue is full and does not wait"),
    ("otelcol_exporter_send_failed_spans_total", SEND_FAILED),
    ("otelcol_exporter_send_failed_metric_points_total", SEND_FAILED),
    ("otelcol_exporter_send_failed_log_records_total", SEND_FAILED),
    (r#"otelcol_exporter_send_failed_spans_total{service_name=~"sightline-(agent|gateway)"}"#, SEND_FAILED),
    (
        r#"otelcol_exporter_send_failed_metric_points_total{service_name=~"sightline-(agent|gateway)"}"#,
        SEND_FAILED,
    ),
    (
        r#"otelcol_exporter_send_failed_log_records_total{service_name=~"sightline-(agent|gateway)"}"#,
        SEND_FAILED,
    ),
    ("otelcol_processor_tail_sampling_early_releases_from_cache_decision_total", "a span is late"),
    (
        r#"otelcol_processor_tail_sampling_global_count_traces_sampled_total{sampled="false"}"#,
        "a trace is not kept",
    ),
    (
        r#"rpc_server_call_duration_seconds_count{rpc_response_status_code=~"UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"}"#,
        "an RPC fails",
    ),
    (r#"otel_sdk_exporter_span_exported_total{error_type!=""}"#, EXPORT_FAILED),
    (r#"otel_sdk_exporter_log_exported_total{error_type!=""}"#, EXPORT_FAILED),
    (r#"jaeger_storage_requests_total{result="err"}"#, "Jaeger cannot read or write"),
];
const SEND_FAILED: &str = "an exporter gives up";
const EXPORT_FAILED: &str = "a service cannot export";

async fn metrics_exist(stack: &TestStack) -> Result<()> {
    let queries = queries()?;
    for (selector, cause) in UNSEEN {
        let used = queries.iter().any(|(_, query, _)| query.contains(selector));
        ensure!(used, "no query uses {selector} any more ({cause}): remove it from UNSEEN in {}", file!());
    }
    let documented = documented()?;
    let check = async || {
        // A response of each kind, so that the metrics have all their labels.
        for id in ["3", "999"] {
            stack.get_order(&Caller::new(), id).await?;
        }
        let mut problems = Vec::new();
        for (place, query, is_alert) in &queries {
            let names = promql::names(query)?;
            let mut labels = BTreeSet::new();
            let mut unseen = false;
            for selector in &names.selectors {
                if UNSEEN.iter().any(|(known, _)| known == selector) {
                    unseen = true;
                    continue;
                }
                let found = matching(stack, selector).await?;
                if found.is_empty() {
                    problems.push(format!("{place}: no series matches {selector}"));
                }
                labels.extend(found.into_iter().flat_map(BTreeMap::into_keys));
            }
            // A join of series with different labels selects nothing, although all names exist.
            if !unseen && !is_alert && stack.find_series(query).await?.is_empty() {
                problems.push(format!("{place}: the panel is empty: {query}"));
            }
            for label in names.labels.iter().filter(|label| !unseen && !labels.contains(*label)) {
                problems.push(format!("{place}: no series has the label {label}: {query}"));
            }
        }
        let names: BTreeSet<_> = stored(stack).await?;
        for (page, name) in &documented {
            let exists = names.iter().any(|stored| is_name_of(name, stored));
            if !exists && !is_unseen(name) {
                problems.push(format!("{page}: no series has the name {name}"));
            }
        }
        ensure!(problems.is_empty(), "{}", problems.join("\n"));
        Ok(())
    };
    stack.eventually("all metrics of dashboards, alerts and documents are stored", check).await
}

fn is_unseen(name: &str) -> bool {
    UNSEEN.iter().any(|(selector, _)| selector.split('{').next().is_some_and(|known| is_name_of(name, known)))
}

/// The suffixes that a store adds to the name of a metric from OTLP: its unit, and what a series counts.
const SUFFIXES: [&str; 7] = ["_seconds", "_milliseconds", "_bytes", "_total", "_count", "_sum", "_bucket"];

/// Whether a series with the name `stored` belongs to the metric `name`, which is written with or without suffixes.
fn is_name_of(name: &str, stored: &str) -> bool {
    let Some(mut rest) = stored.strip_prefix(name) else { return false };
    while let Some(shorter) = SUFFIXES.iter().find_map(|suffix| rest.strip_suffix(suffix)) {
        rest = shorter;
    }
    rest.is_empty()
}

/// Returns the queries, each with the place where it is, and whether it is an alert.
fn queries() -> Result<Vec<(String, String, bool)>> {
    let mut queries = Vec::new();
    for dashboard in dashboards::dashboards()? {
        for panel in dashboard.rows.into_iter().flat_map(|row| row.panels) {
            let place = format!("{}, {}", dashboard.title, panel.title);
            queries.extend(panel.queries.into_iter().map(|query| (place.clone(), query.expr, false)));
        }
    }
    queries.extend(dashboards::alerts()?.into_iter().map(|(_, alert)| (alert.alert, alert.expr, true)));
    Ok(queries)
}

/// The first words of names of metrics. A word in a document that starts with one of them is the name of a metric.
const PREFIXES: [&str; 10] = [
    "otelcol_",
    "http_server_",
    "http_client_",
    "rpc_server_",
    "rpc_client_",
    "db_client_",
    "traces_s",
    "sightline_log_",
    "otel_sdk_",
    "tokio_",
];

/// Returns the names of metrics in the documents, each with its page.
fn documented() -> Result<BTreeSet<(String, String)>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("docs"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let page = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        // The name of an option of the compiler.
        let text = text.replace("tokio_unstable", "");
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '(') {
            if PREFIXES.iter().any(|prefix| word.starts_with(prefix)) && !word.contains('(') {
                found.insert((page.clone(), word.to_owned()));
            }
        }
        // The tables of the library's metrics have OpenTelemetry's names. The section also has a table of attributes.
        let section = text.split_once("\n## Metrics\n").map_or("", |(_, section)| section);
        let mut is_of_metrics = false;
        for row in section.lines().take_while(|line| !line.starts_with("## ")) {
            if row.starts_with("| ") && !row.starts_with("| `") {
                is_of_metrics = row.starts_with("| name |");
            }
            if !is_of_metrics {
                continue;
            }
            let Some(names) = row.strip_prefix("| `").and_then(|row| row.split(" |").next()) else {
                continue;
            };
            for name in names.split("`, `") {
                found.insert((page.clone(), name.trim_end_matches('`').replace('.', "_")));
            }
        }
    }
    Ok(found)
}

/// Returns the names of the stored series.
async fn stored(stack: &TestStack) -> Result<BTreeSet<String>> {
    let text = stack.page("/prometheus/api/v1/label/__name__/values", &[]).await?;
    let mut response: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    Ok(serde_json::from_value(response["data"].take())?)
}

/// Returns the labels of the stored series that a selector matches.
async fn matching(stack: &TestStack, selector: &str) -> Result<Vec<BTreeMap<String, String>>> {
    let text = stack.page("/prometheus/api/v1/series", &[("match[]", selector)]).await?;
    let mut response: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    serde_json::from_value(response["data"].take()).with_context(|| format!("{selector}: {text}"))
}

/// vmui shows the files in deploy/dashboards/vmui.
async fn provisioned(stack: &TestStack) -> Result<()> {
    let text = stack.page("/prometheus/vmui/custom-dashboards", &[]).await?;
    let response: Value = serde_json::from_str(&text)?;
    let shown = response["dashboardsSettings"].as_array().with_context(|| text.clone())?;
    let titles: Vec<_> = shown.iter().filter_map(|each| each["title"].as_str()).collect();
    let expected = dashboards::dashboards()?;
    let expected: Vec<_> = expected.iter().map(|dashboard| dashboard.title.as_str()).collect();
    ensure!(titles == expected, "{titles:?}, expected {expected:?}");
    let panels = shown.iter().flat_map(|each| each["rows"].as_array().into_iter().flatten());
    let panels: usize = panels.filter_map(|row| row["panels"].as_array()).map(Vec::len).sum();
    let expected = dashboards::dashboards()?;
    let expected: usize = expected.iter().flat_map(|each| &each.rows).map(|row| row.panels.len()).sum();
    ensure!(panels == expected, "{panels} panels, expected {expected}");
    Ok(())
}

/// A scraper of the gateway's port for metrics does not get the metrics of agents and gateways, which it reads at their own
/// ports. In the store, each process has one series of a metric.
async fn once(stack: &TestStack) -> Result<()> {
    let check = async || {
        for (process, name) in [(AGENT, "sightline-agent"), (GATEWAY, "sightline-gateway")] {
            let query = format!("count(otelcol_process_uptime_total{{service_name={name:?}}})");
            let count = stack.stored_metric(&query).await?;
            ensure!(count == Some(1.0), "{query} is {count:?}");
            let labels =
                matching(stack, &format!("otelcol_process_uptime_total{{service_name={name:?}}}")).await?;
            ensure!(labels[0].get("service_instance_id").is_some_and(|id| id == process), "{labels:?}");
        }
        Ok(())
    };
    stack.eventually("agent and gateway have stored their own metrics once", check).await?;
    let page = stack.metrics_page(stack.gateway_metrics_port()?).await?;
    ensure!(!page.contains("otelcol_"), "the gateway serves own metrics with those of the services:\n{page}");
    Ok(())
}
