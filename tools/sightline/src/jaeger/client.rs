//! The client of Jaeger's `/api/v3`.

use reqwest::StatusCode;
use serde::Deserialize;
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::decode::{DecodeError, decode};
use super::model::{Trace, TraceId};
use crate::http::{self, BodyError};

/// The maximum size of a response in bytes. A larger response is rejected before it fills the memory.
const MAX_RESPONSE: usize = 512 << 20;

/// A client for one Jaeger.
#[derive(Debug, Clone)]
pub struct Jaeger {
    base: Url,
    http: reqwest::Client,
}

/// A search for traces.
#[derive(Debug, Clone)]
pub struct Search {
    /// The `service.name` of a service. The search finds only traces that contain spans of this service.
    pub service: String,
    /// The earliest start time of a trace, inclusive.
    pub from: OffsetDateTime,
    /// The latest start time of a trace, exclusive.
    pub to: OffsetDateTime,
    /// The maximum number of traces.
    pub limit: u32,
}

/// The error of a query to Jaeger.
#[derive(Debug, Error)]
pub enum JaegerError {
    /// The HTTP client could not be set up.
    #[error(
        "cannot set up the HTTP client; for https, set SSL_CERT_FILE to a file with the root certificates to trust"
    )]
    Client(#[source] reqwest::Error),
    /// The address is not a URL.
    #[error("the address of Jaeger is not a URL")]
    Address(#[source] url::ParseError),
    /// The connection failed, or there was no response in time.
    #[error("no response from Jaeger at {url}")]
    Unreachable {
        /// The requested URL.
        url: Url,
        /// The cause.
        source: reqwest::Error,
    },
    /// The response has an error status.
    #[error("{url} responded with {status}: {message}")]
    ErrorStatus {
        /// The requested URL.
        url: Url,
        /// The status of the response.
        status: StatusCode,
        /// Jaeger's error message.
        message: String,
    },
    /// The response could not be decoded.
    #[error("cannot decode the response from {url}")]
    InvalidResponse {
        /// The requested URL.
        url: Url,
        /// The cause.
        source: DecodeError,
    },
    /// The response is too large.
    #[error("the response from {url} is larger than {} MiB", MAX_RESPONSE >> 20)]
    TooLarge {
        /// The requested URL.
        url: Url,
    },
}

/// The body of a Jaeger error response.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    message: String,
}

impl Jaeger {
    /// Creates a client for the Jaeger whose UI and API are at this address. The address may contain a base path. Fails
    /// if the HTTP client cannot be set up.
    pub fn new(base: Url) -> Result<Self, JaegerError> {
        let http = http::client(&base).map_err(JaegerError::Client)?;
        Ok(Self { base, http })
    }

    /// Creates a client for the Jaeger that listens on this port on this machine. Fails if the HTTP client cannot be
    /// set up.
    pub fn local(port: u16) -> Result<Self, JaegerError> {
        let http = http::local_client().map_err(JaegerError::Client)?;
        let mut base = Url::parse("http://127.0.0.1").map_err(JaegerError::Address)?;
        // Fails only for a URL without a host.
        let _ = base.set_port(Some(port));
        Ok(Self { base, http })
    }

    /// Returns the address without a trailing slash.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Returns a trace with all spans that are stored so far, or `None` if no span is stored. Fails if Jaeger does not
    /// respond, or if it responds with an error or an invalid body.
    pub async fn trace(&self, id: &TraceId) -> Result<Option<Trace>, JaegerError> {
        let Some((url, text)) = self.get(self.trace_url(id)).await? else {
            return Ok(None);
        };
        let traces = decode(&text).map_err(|source| JaegerError::InvalidResponse { url, source })?;
        Ok(traces.into_iter().find(|trace| trace.id == id.as_str()))
    }

    /// Returns a trace as the text of Jaeger's response, which contains one or more JSON documents. Returns `None` or
    /// fails under the same conditions as [`trace`](Self::trace).
    pub async fn trace_text(&self, id: &TraceId) -> Result<Option<String>, JaegerError> {
        Ok(self.get(self.trace_url(id)).await?.map(|(_, text)| text))
    }

    /// Returns the matching traces with all their spans, newest first. Fails under the same conditions as
    /// [`trace`](Self::trace).
    pub async fn traces(&self, search: &Search) -> Result<Vec<Trace>, JaegerError> {
        // Fails only for years after 9999, which RFC 3339 cannot represent.
        let time = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        let mut url = self.url(&["traces"]);
        url.query_pairs_mut()
            .append_pair("query.service_name", &search.service)
            .append_pair("query.start_time_min", &time(search.from))
            .append_pair("query.start_time_max", &time(search.to))
            .append_pair("query.num_traces", &search.limit.to_string());
        let Some((url, text)) = self.get(url).await? else {
            return Ok(Vec::new());
        };
        decode(&text).map_err(|source| JaegerError::InvalidResponse { url, source })
    }

    /// Returns the sorted names of the services that have spans. Fails under the same conditions as
    /// [`trace`](Self::trace).
    pub async fn services(&self) -> Result<Vec<String>, JaegerError> {
        #[derive(Deserialize)]
        struct Services {
            #[serde(default)]
            services: Vec<String>,
        }
        let Some((url, text)) = self.get(self.url(&["services"])).await? else {
            return Ok(Vec::new());
        };
        let response: Services = serde_json::from_str(&text)
            .map_err(|source| JaegerError::InvalidResponse { url, source: source.into() })?;
        let mut services = response.services;
        services.sort_unstable();
        Ok(services)
    }

    fn trace_url(&self, id: &TraceId) -> Url {
        self.url(&["traces", id.as_str()])
    }

    fn url(&self, path: &[&str]) -> Url {
        http::url_below(&self.base, ["api", "v3"].into_iter().chain(path.iter().copied()))
    }

    /// Returns the URL and body of a successful response, or `None` if Jaeger reports that it found nothing.
    async fn get(&self, url: Url) -> Result<Option<(Url, String)>, JaegerError> {
        let unreachable = |source: reqwest::Error| JaegerError::Unreachable {
            url: url.clone(),
            // The message of `JaegerError` already contains the URL.
            source: source.without_url(),
        };
        let response = self.http.get(url.clone()).send().await.map_err(unreachable)?;
        let status = response.status();
        let text = match http::text(response, MAX_RESPONSE).await {
            Ok(text) => text,
            Err(BodyError::Connection(source)) => return Err(unreachable(source)),
            Err(BodyError::TooLarge) => return Err(JaegerError::TooLarge { url }),
        };
        if status.is_success() {
            return Ok(Some((url, text)));
        }
        match serde_json::from_str::<ErrorBody>(&text) {
            // A 404 response without Jaeger's error body comes from a different server. It says nothing about the
            // trace.
            Ok(_) if status == StatusCode::NOT_FOUND => Ok(None),
            Ok(ErrorBody { error }) => Err(JaegerError::ErrorStatus { url, status, message: error.message }),
            Err(_) => {
                let message =
                    "this is not a Jaeger error. Does a different program use this address?".to_owned();
                Err(JaegerError::ErrorStatus { url, status, message })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::Uri;

    /// Starts a server that sends the same response to each request. `URI` in the body is replaced by the
    /// request's URI.
    async fn backend(status: u16, body: &'static str) -> Jaeger {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(move |uri: Uri| async move {
            (StatusCode::from_u16(status).unwrap(), body.replace("URI", &uri.to_string()))
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Jaeger::new(format!("http://{address}/base/").parse().unwrap()).unwrap()
    }

    fn id() -> TraceId {
        "5b8efff798038103d269b633813fc60c".parse().unwrap()
    }

    const TRACE: &str = r#"{"result":{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"1","name":"URI"}]}]}]}}"#;

    #[tokio::test]
    async fn keeps_the_base_path() {
        let trace = backend(200, TRACE).await.trace(&id()).await.unwrap().unwrap();
        assert_eq!(trace.spans[0].name, "/base/api/v3/traces/5b8efff798038103d269b633813fc60c");
    }

    #[tokio::test]
    async fn escapes_search_parameters() {
        let search = Search {
            service: "a b&c".to_owned(),
            from: OffsetDateTime::UNIX_EPOCH,
            to: OffsetDateTime::UNIX_EPOCH + time::Duration::SECOND,
            limit: 7,
        };
        let traces = backend(200, TRACE).await.traces(&search).await.unwrap();
        assert_eq!(
            traces[0].spans[0].name,
            "/base/api/v3/traces?query.service_name=a+b%26c&query.start_time_min=1970-01-01T00%3A00%3A00Z\
             &query.start_time_max=1970-01-01T00%3A00%3A01Z&query.num_traces=7"
        );
    }

    #[tokio::test]
    async fn distinguishes_a_missing_trace_from_a_different_server() {
        let body = r#"{"error":{"httpCode":404,"message":"No traces found"}}"#;
        assert!(backend(404, body).await.trace(&id()).await.unwrap().is_none());
        let error = backend(404, "404 page not found").await.trace(&id()).await.unwrap_err();
        assert!(error.to_string().contains("a different program"), "{error}");
        let error = backend(200, "<html>").await.trace(&id()).await.unwrap_err();
        assert!(matches!(error, JaegerError::InvalidResponse { .. }));
    }

    #[tokio::test]
    async fn errors_contain_jaegers_message() {
        let body = r#"{"error":{"httpCode":500,"message":"disk on fire"}}"#;
        let error = backend(500, body).await.services().await.unwrap_err();
        assert!(error.to_string().ends_with("500 Internal Server Error: disk on fire"), "{error}");
    }

    #[tokio::test]
    async fn errors_contain_the_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let jaeger = Jaeger::new(format!("http://{free}").parse().unwrap()).unwrap();
        let error = jaeger.trace(&id()).await.unwrap_err();
        assert!(error.to_string().contains(&free.to_string()), "{error}");
    }
}
