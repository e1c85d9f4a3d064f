//! The stores in Jaeger's pod have what the services sent, and the Service of Jaeger serves it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::Value;
use sightline::jaeger::TraceId;
use sightline_tests::caller::Caller;
use sightline_tests::dashboards;
use sightline_tests::poll::eventually;

use crate::install::{DEFAULT_TIMEOUT, Install, RELEASE, SERVICES, selector};

/// The number of requests whose counters are checked. With so many traces, each gateway gets some.
const SENT: u32 = 40;

/// An order has one log record of each service.
pub(crate) async fn log_records(install: &Install) -> Result<()> {
    let trace = request_order(install).await?;
    wait_for_log_records(install, &trace).await
}

/// After the pod of the backend is replaced, it still has the trace, the log records and the metrics of an order.
pub(crate) async fn kept(install: &Install) -> Result<()> {
    let requests =
        r#"sum(max_over_time(http_server_request_duration_seconds_count{service_name="order-service"}[1h]))"#;
    let trace = request_order(install).await?;
    wait_for_log_records(install, &trace).await?;
    let check = async || {
        let stored = values(install, requests).await?;
        ensure!(!stored.is_empty(), "no requests are counted");
        Ok(stored)
    };
    let before = eventually("the requests are counted", 2 * DEFAULT_TIMEOUT, check).await?;
    install.kubectl(["delete", "pods", "--selector", &selector("jaeger"), "--wait"]).await?;
    install.wait_for_rollout(&format!("deployment/{RELEASE}-jaeger")).await?;
    wait_for_log_records(install, &trace).await?;
    let check = async || {
        ensure!(install.jaeger.trace(&trace).await?.is_some(), "the trace {trace} is not stored");
        let after = values(install, requests).await?;
        ensure!(before <= after, "{before:?} requests were counted before, and {after:?} after");
        Ok(())
    };
    eventually("the data is still stored", DEFAULT_TIMEOUT, check).await
}

async fn request_order(install: &Install) -> Result<TraceId> {
    let response = Caller::new().get(&install.http, &install.orders.url()?, "orders/7").await?;
    ensure!(response.status == 200, "{response:?}");
    Ok(response.trace)
}

async fn wait_for_log_records(install: &Install, trace: &TraceId) -> Result<()> {
    let query = format!("trace_id:={trace}");
    let check = async || {
        let text = install.page("/select/logsql/query", &query).await?;
        let records: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let services: BTreeSet<_> =
            records.iter().filter_map(|record| record["service.name"].as_str()).collect();
        ensure!(records.len() == 3 && services == BTreeSet::from(SERVICES), "{query} finds {records:#?}");
        Ok(())
    };
    eventually(format!("the log records of {trace} are stored"), DEFAULT_TIMEOUT, check).await
}

/// Both gateways count requests, and the sums over them are the number of requests. Only this case sends requests with the
/// method DELETE.
pub(crate) async fn counters(install: &Install) -> Result<()> {
    let url = install.orders.url()?.join("orders/7")?;
    for _ in 0..SENT {
        install.http.request(Method::DELETE, url.clone()).send().await?;
    }
    let labels = r#"service_name="order-service",http_request_method="DELETE""#;
    let calls = format!(r#"traces_span_metrics_calls_total{{{labels},span_kind="SPAN_KIND_SERVER"}}"#);
    let requests = format!("http_server_request_duration_seconds_count{{{labels}}}");
    let check = async || {
        for metric in [&calls, &requests] {
            let query = format!("sum({metric})");
            let stored = values(install, &query).await?;
            ensure!(stored == [f64::from(SENT)], "{query} is {stored:?} after {SENT} requests");
        }
        let by_gateway = format!("sum by (sightline_gateway) ({calls})");
        let counted = values(install, &by_gateway).await?;
        ensure!(counted.len() == 2, "{by_gateway} is {counted:?}");
        Ok(())
    };
    // Services send metrics once a minute.
    eventually("the stored metrics count each request once", 2 * DEFAULT_TIMEOUT, check).await
}

/// vmalert, in the pod of the backend, evaluates all rules of `deploy/alerts`, and the pages show them.
pub(crate) async fn alerts(install: &Install) -> Result<()> {
    let expected: BTreeSet<String> =
        dashboards::alerts()?.into_iter().map(|(_, alert)| alert.alert).collect();
    let check = async || {
        let text = install.page("/prometheus/vmalert/api/v1/rules", "").await?;
        let response: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        let evaluated = dashboards::evaluated_rules(&response)?;
        ensure!(evaluated == expected, "{evaluated:?}, expected {expected:?}");
        Ok(())
    };
    eventually("all rules are evaluated without an error", 2 * DEFAULT_TIMEOUT, check).await
}

/// Returns the values of the series that a `PromQL` query selects.
async fn values(install: &Install, query: &str) -> Result<Vec<f64>> {
    let text = install.page("/prometheus/api/v1/query", query).await?;
    let response: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let result = response["data"]["result"].as_array().with_context(|| format!("{query}: {text}"))?;
    let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
    result.iter().map(|series| value(series).with_context(|| format!("{query}: {series}"))).collect()
}
