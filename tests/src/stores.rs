//! Queries of the metrics store and the log store, through the proxy that a browser uses.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::log_records::{self, LogRecord};
use crate::test_stack::TestStack;

/// The metric in which the service `orders` counts the requests for orders.
pub const ORDER_REQUESTS: &str =
    r#"http_server_request_duration_seconds_count{service_name="orders",http_route="/orders/{id}"}"#;

/// The labels of a series and its last value.
pub type Series = (BTreeMap<String, String>, f64);

impl TestStack {
    /// Returns all stored log records.
    pub async fn stored_logs(&self) -> Result<Vec<LogRecord>> {
        Ok(self.find_logs("*").await?.iter().map(log_records::of_store).collect())
    }

    /// Returns the stored log records that match a query in `LogsQL`. Each record is an object whose values are strings.
    pub async fn find_logs(&self, query: &str) -> Result<Vec<Value>> {
        let text = self.page("/select/logsql/query", &[("query", query)]).await?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// Returns the last value of each series that a `PromQL` query selects.
    pub async fn find_series(&self, query: &str) -> Result<Vec<Series>> {
        let text = self.page("/prometheus/api/v1/query", &[("query", query)]).await?;
        let response: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        let result = response["data"]["result"].as_array().with_context(|| format!("{query}: {text}"))?;
        result.iter().map(|series| series_of(series).with_context(|| format!("{query}: {series}"))).collect()
    }

    /// Returns the value of a `PromQL` query that selects at most one series.
    pub async fn stored_metric(&self, query: &str) -> Result<Option<f64>> {
        let series = self.find_series(query).await?;
        ensure!(series.len() < 2, "{query} has several series: {series:?}");
        Ok(series.first().map(|(_, value)| *value))
    }

    /// Requests a path of the pages. Fails unless the status is a success.
    pub async fn page(&self, path: &str, query: &[(&str, &str)]) -> Result<String> {
        let url = url::Url::parse_with_params(&format!("{}{path}", self.inner().pages_url()), query)?;
        let response = self.http().get(url).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "{path} responded with {status}: {text}");
        Ok(text)
    }
}

fn series_of(series: &Value) -> Option<Series> {
    let labels = series["metric"].as_object()?.iter();
    let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    Some((labels.collect(), series["value"][1].as_str()?.parse().ok()?))
}
