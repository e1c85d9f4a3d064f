//! Queries in `PromQL`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::Error as _;
use time::OffsetDateTime;

use super::client::{StoreError, Stores};
use super::quote::quote;

/// The labels of a series, and its value at one time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Sample {
    /// The names and values of the labels.
    #[serde(rename = "metric")]
    pub labels: BTreeMap<String, String>,
    /// The value, which may be `NaN`.
    #[serde(deserialize_with = "value")]
    pub value: f64,
}

#[derive(Deserialize)]
struct ResponseDto {
    data: DataDto,
}

#[derive(Deserialize)]
struct DataDto {
    result: Vec<Sample>,
}

/// Reads the value of a pair of a time and a value. The value is text, because JSON has no `NaN`.
fn value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let (_, text): (serde::de::IgnoredAny, String) = Deserialize::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

impl Stores {
    /// Returns the value of each series that a `PromQL` query selects at one time. Fails if the metrics store does not
    /// respond, or if it responds with an error or an invalid body.
    pub async fn metrics(&self, query: &str, at: OffsetDateTime) -> Result<Vec<Sample>, StoreError> {
        let url = self.url(&["prometheus", "api", "v1", "query"]);
        let at = at.unix_timestamp().to_string();
        let text = self.get(&url, &[("query", query), ("time", &at)]).await?;
        let response: ResponseDto =
            serde_json::from_str(&text).map_err(|source| StoreError::NotAStore { url, source })?;
        Ok(response.data.result)
    }

    /// Returns the time of the last sample of a metric of a service within the last ten minutes, in seconds since 1970.
    /// Fails under the same conditions as [`Stores::metrics`].
    pub async fn last_sample(&self, metric: &str, service: &str) -> Result<Option<f64>, StoreError> {
        let query = format!("max(tlast_over_time({metric}{{service_name={}}}[10m]))", quote(service));
        let samples = self.metrics(&query, OffsetDateTime::now_utc()).await?;
        Ok(samples.first().map(|sample| sample.value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parameter, serve};
    use super::*;

    #[tokio::test]
    async fn reads_the_samples() {
        let stores = serve(|uri| {
            assert_eq!(uri.path(), "/prometheus/api/v1/query");
            assert_eq!((parameter(uri, "query").as_str(), parameter(uri, "time").as_str()), ("up + 1", "60"));
            let body = r#"{"status":"success","data":{"resultType":"vector","result":[
                {"metric":{"a":"b"},"value":[60,"1.5"]},{"metric":{},"value":[60.5,"NaN"]}]}}"#;
            (200, body.to_owned())
        });
        let at = OffsetDateTime::UNIX_EPOCH + time::Duration::MINUTE;
        let samples = stores.await.metrics("up + 1", at).await.unwrap();
        assert_eq!((samples[0].labels["a"].as_str(), samples[0].value), ("b", 1.5));
        assert!(samples[1].value.is_nan());
    }

    #[tokio::test]
    async fn reads_the_time_of_the_last_sample() {
        let stores = serve(|uri| {
            let query = parameter(uri, "query");
            assert_eq!(query, r#"max(tlast_over_time(requests_total{service_name="a\"b"}[10m]))"#);
            let body = r#"{"status":"success","data":{"resultType":"vector","result":[
                {"metric":{},"value":[60,"1764339000.5"]}]}}"#;
            (200, body.to_owned())
        });
        assert_eq!(stores.await.last_sample("requests_total", "a\"b").await.unwrap(), Some(1_764_339_000.5));
    }

    #[tokio::test]
    async fn a_page_is_not_a_result() {
        let stores = serve(|_| (200, "<!doctype html>".to_owned())).await;
        let error = stores.metrics("up", OffsetDateTime::UNIX_EPOCH).await.unwrap_err();
        assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    }
}
