//! Reads log records and metrics from the stores of the backend, through the pages: the address at which Jaeger's UI,
//! the metrics and the logs are served.
//!
//! The paths are those of `collector-config/vmauth.yaml`: `VictoriaLogs` is at `/select/logsql`, and a metrics store
//! with Prometheus' API is at `/prometheus/api/v1`.

mod client;
mod logs;
mod metrics;
mod operations;
mod quote;
mod record;

pub use self::client::{StoreError, Stores};
pub use self::logs::{Follow, Level, LevelError, LogSearch};
pub use self::metrics::Sample;
pub use self::operations::Operation;
pub use self::record::Record;
#[cfg(test)]
pub(crate) use self::record::tests as record_tests;

#[cfg(test)]
pub(crate) mod tests {
    use axum::Router;
    use axum::http::{StatusCode, Uri};

    use super::Stores;

    /// Starts a server that responds to each request with the result of `respond` for the request's URI.
    pub(crate) async fn serve(respond: fn(&Uri) -> (u16, String)) -> Stores {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(move |uri: Uri| async move {
            let (status, body) = respond(&uri);
            (StatusCode::from_u16(status).unwrap(), body)
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Stores::new(format!("http://{address}/base/").parse().unwrap()).unwrap()
    }

    /// Returns a parameter of the query string.
    pub(crate) fn parameter(uri: &Uri, name: &str) -> String {
        let query = uri.query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }
}
