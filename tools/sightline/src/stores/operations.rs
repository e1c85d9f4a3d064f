//! Rate, errors and latency of each operation of the services.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::client::{StoreError, Stores};
use super::metrics::Sample;
use super::quote::quote;

/// What a service did for one kind of request: an HTTP method and route, or an RPC method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operation {
    /// The `service.name` of the service.
    pub service: String,
    /// `{method} {http.route}`, the method alone if no route matched, `{package.Service}/{Method}`, or the name of a
    /// span.
    pub operation: String,
    /// The number of requests. A store that extrapolates, as Prometheus does, returns fractions.
    pub requests: f64,
    /// The number of requests per second.
    pub rate: f64,
    /// The number of failed requests.
    pub errors: f64,
    /// The median of the duration in seconds. `None` if unknown.
    pub p50: Option<f64>,
    /// The 95th percentile of the duration in seconds. `None` if unknown.
    pub p95: Option<f64>,
    /// The 99th percentile of the duration in seconds. `None` if unknown.
    pub p99: Option<f64>,
}

/// A histogram of durations in seconds.
struct Source {
    /// The name of the metric without `_count` or `_bucket`.
    metric: &'static str,
    /// The labels that make up the name of the operation.
    labels: &'static [&'static str],
    /// The matcher of the series of requests that a service serves.
    served: &'static str,
    /// The matcher of the series of failed requests.
    failed: &'static str,
}

/// Each request is counted in one of the first two metrics: in that of HTTP or in that of gRPC. The services measure
/// both themselves, so sampling does not change the numbers.
const OWN: [Source; 2] = [
    Source {
        metric: "http_server_request_duration_seconds",
        labels: &["http_request_method", "http_route"],
        served: "",
        failed: r#"error_type!="""#,
    },
    Source {
        metric: "rpc_server_call_duration_seconds",
        labels: &["rpc_method"],
        served: "",
        failed: r#"error_type!="""#,
    },
];

/// The gateway's metrics of spans, for services without metrics of their own. A request that is in [`OWN`] is counted
/// here too, so no service is taken from both.
const SPANS: Source = Source {
    metric: "traces_span_metrics_duration_seconds",
    labels: &["span_name"],
    served: r#"span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER""#,
    failed: r#"status_code="STATUS_CODE_ERROR""#,
};

/// The function of `VictoriaMetrics` that counts a new series from 0. Its function `increase` ignores the first value
/// of a series if it is much larger than the next difference, for example after a single burst of requests.
const PURE: &str = "increase_pure";
/// The function that all stores with Prometheus' API have.
const STANDARD: &str = "increase";

impl Stores {
    /// Returns the operations with requests in the time `window` before `at`, sorted by service and name. With
    /// `service`, only those of this service.
    ///
    /// Fails if the metrics store does not respond, or if it responds with an error or an invalid body.
    pub async fn operations(
        &self,
        service: Option<&str>,
        window: Duration,
        at: OffsetDateTime,
    ) -> Result<Vec<Operation>, StoreError> {
        match self.operations_with(PURE, service, window, at).await {
            Err(error) if error.is_rejection() => self.operations_with(STANDARD, service, window, at).await,
            result => result,
        }
    }

    async fn operations_with(
        &self,
        increase: &str,
        service: Option<&str>,
        window: Duration,
        at: OffsetDateTime,
    ) -> Result<Vec<Operation>, StoreError> {
        let mut operations = Vec::new();
        for source in &OWN {
            operations.extend(self.read(source, increase, service, window, at).await?);
        }
        let own: BTreeSet<_> = operations.iter().map(|operation| operation.service.clone()).collect();
        let spans = self.read(&SPANS, increase, service, window, at).await?;
        operations.extend(spans.into_iter().filter(|operation| !own.contains(&operation.service)));
        operations.sort_by(|a, b| (&a.service, &a.operation).cmp(&(&b.service, &b.operation)));
        Ok(operations)
    }

    async fn read(
        &self,
        source: &Source,
        increase: &str,
        service: Option<&str>,
        window: Duration,
        at: OffsetDateTime,
    ) -> Result<Vec<Operation>, StoreError> {
        let query = |suffix: &str, more: &str| source.query(increase, suffix, more, service, window);
        let quantile = |share: &str| format!("histogram_quantile({share}, {})", query("_bucket", ""));
        let (requests, errors) = (query("_count", ""), query("_count", source.failed));
        let (p50, p95, p99) = (quantile("0.5"), quantile("0.95"), quantile("0.99"));
        let (requests, errors, p50, p95, p99) = tokio::try_join!(
            self.metrics(&requests, at),
            self.metrics(&errors, at),
            self.metrics(&p50, at),
            self.metrics(&p95, at),
            self.metrics(&p99, at),
        )?;
        let [errors, p50, p95, p99] = [errors, p50, p95, p99].map(|samples| source.by_name(samples));
        let finite =
            |values: &BTreeMap<_, f64>, name: &_| values.get(name).copied().filter(|x| x.is_finite());
        let operations = source.by_name(requests).into_iter().filter(|(_, requests)| *requests > 0.0);
        Ok(operations
            .map(|(name, requests)| Operation {
                requests,
                rate: requests / window.as_seconds_f64(),
                errors: finite(&errors, &name).unwrap_or(0.0),
                p50: finite(&p50, &name),
                p95: finite(&p95, &name),
                p99: finite(&p99, &name),
                service: name.0,
                operation: name.1,
            })
            .collect())
    }
}

impl Source {
    /// Returns the query for the increase of a counter, for each service and operation, and for each bucket if the
    /// counter is one of the buckets.
    fn query(
        &self,
        increase: &str,
        suffix: &str,
        more: &str,
        service: Option<&str>,
        window: Duration,
    ) -> String {
        let service = service.map(|name| format!("service_name={}", quote(name))).unwrap_or_default();
        let matchers = [self.served, more, &service];
        let matchers: Vec<_> = matchers.into_iter().filter(|matcher| !matcher.is_empty()).collect();
        let le = if suffix == "_bucket" { ", le" } else { "" };
        format!(
            "sum by (service_name, {}{le}) ({increase}({}{suffix}{{{}}}[{}s]))",
            self.labels.join(", "),
            self.metric,
            matchers.join(", "),
            window.whole_seconds(),
        )
    }

    /// Returns the values by service and operation.
    fn by_name(&self, samples: Vec<Sample>) -> BTreeMap<(String, String), f64> {
        let name = |sample: &Sample| {
            let label = |name: &str| sample.labels.get(name).cloned().unwrap_or_default();
            let parts: Vec<_> =
                self.labels.iter().map(|name| label(name)).filter(|part| !part.is_empty()).collect();
            (label("service_name"), parts.join(" "))
        };
        samples.into_iter().map(|sample| (name(&sample), sample.value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parameter, serve};
    use super::*;

    const WINDOW: Duration = Duration::minutes(5);

    #[test]
    fn a_service_name_cannot_change_the_query() {
        let query = OWN[0].query(STANDARD, "_count", OWN[0].failed, Some(r#"a"} or vector(1) #"#), WINDOW);
        assert_eq!(
            query,
            r#"sum by (service_name, http_request_method, http_route) (increase(http_server_request_duration_seconds_count{error_type!="", service_name="a\"} or vector(1) #"}[300s]))"#
        );
    }

    fn sample(service: &str, labels: &[(&str, &str)], value: &str) -> String {
        let labels: serde_json::Map<_, _> = std::iter::once(&("service_name", service))
            .chain(labels)
            .map(|&(name, value)| (name.to_owned(), value.into()))
            .collect();
        serde_json::json!({ "metric": labels, "value": [0, value] }).to_string()
    }

    #[tokio::test]
    async fn each_service_comes_from_one_source() {
        let stores = serve(|uri| {
            let query = parameter(uri, "query");
            if query.contains("increase_pure") {
                return (422, "unknown function increase_pure".to_owned());
            }
            let route = [("http_request_method", "GET"), ("http_route", "/a")];
            let samples = match query.as_str() {
                q if q.contains("quantile(0.5") && q.contains("http_server") => {
                    vec![sample("shop", &route, "0.2")]
                }
                q if q.contains("quantile") => vec![sample("shop", &route, "NaN")],
                q if q.contains("error_type") && q.contains("http_server") => {
                    vec![sample("shop", &route, "15")]
                }
                q if q.contains("error_type") || q.contains("status_code=") => Vec::new(),
                q if q.contains("http_server") => {
                    let unmatched = [("http_request_method", "PUT")];
                    let idle = [("http_request_method", "GET"), ("http_route", "/idle")];
                    vec![
                        sample("shop", &route, "60"),
                        sample("shop", &unmatched, "3"),
                        sample("shop", &idle, "0"),
                    ]
                }
                q if q.contains("rpc_server") => vec![sample("stock", &[("rpc_method", "p.S/M")], "30")],
                _ => vec![
                    sample("shop", &[("span_name", "GET /a")], "60"),
                    sample("worker", &[("span_name", "tick")], "1"),
                ],
            };
            (200, format!(r#"{{"status":"success","data":{{"result":[{}]}}}}"#, samples.join(",")))
        });
        let operations = stores.await.operations(None, WINDOW, OffsetDateTime::UNIX_EPOCH).await.unwrap();
        let names: Vec<_> =
            operations.iter().map(|o| (o.service.as_str(), o.operation.as_str(), o.requests)).collect();
        assert_eq!(
            names,
            [
                ("shop", "GET /a", 60.0),
                ("shop", "PUT", 3.0),
                ("stock", "p.S/M", 30.0),
                ("worker", "tick", 1.0)
            ]
        );
        let order = &operations[0];
        assert_eq!((order.errors, order.p50, order.p95), (15.0, Some(0.2), None));
        assert!((order.rate - 0.2).abs() < 1e-9);
    }
}
