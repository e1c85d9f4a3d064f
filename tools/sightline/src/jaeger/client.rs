//! The client of `/api/v3`.

use reqwest::StatusCode;
use serde::Deserialize;
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::decode::{DecodeError, decode};
use super::model::{Trace, TraceId};
use crate::http;

/// More than a trace anyone can look at: an answer past this is cut off with an error, not read into memory.
const MAX_ANSWER: usize = 512 << 20;

/// One Jaeger.
#[derive(Debug, Clone)]
pub struct Jaeger {
    base: Url,
    http: reqwest::Client,
}

/// What to look for.
#[derive(Debug, Clone)]
pub struct Search {
    /// `service.name`.
    pub service: String,
    /// Started at or after.
    pub from: OffsetDateTime,
    /// Started before.
    pub to: OffsetDateTime,
    /// At most so many traces.
    pub limit: u32,
}

/// Why Jaeger gave no answer that could be used.
#[derive(Debug, Error)]
pub enum JaegerError {
    /// The HTTP client could not be set up.
    #[error(
        "cannot set up an HTTP client; for https, SSL_CERT_FILE names a file with the authorities to trust"
    )]
    Client(#[source] reqwest::Error),
    /// An address that is none.
    #[error("not an address")]
    Address(#[source] url::ParseError),
    /// Nothing answered, or not in time.
    #[error("no answer from Jaeger at {url}")]
    Unreachable {
        /// What was asked for.
        url: Url,
        /// Why not.
        source: reqwest::Error,
    },
    /// It answered, but not with what was asked for.
    #[error("{url} answered {status}: {message}")]
    Refused {
        /// What was asked for.
        url: Url,
        /// Its status.
        status: StatusCode,
        /// Its words.
        message: String,
    },
    /// Its answer could not be read.
    #[error("cannot read the answer of {url}")]
    Unreadable {
        /// What was asked for.
        url: Url,
        /// Why not.
        source: DecodeError,
    },
    /// Its answer is beyond all measure.
    #[error("the answer of {url} is larger than {} MiB", MAX_ANSWER >> 20)]
    TooLarge {
        /// What was asked for.
        url: Url,
    },
}

/// How Jaeger says no.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    message: String,
}

impl Jaeger {
    /// A client for the Jaeger whose UI and API are at this address. A path stays: Jaeger may live below one.
    pub fn new(base: Url) -> Result<Self, JaegerError> {
        let http = http::client(&base).map_err(JaegerError::Client)?;
        Ok(Self { base, http })
    }

    /// A client for the Jaeger on this machine at this port.
    pub fn local(port: u16) -> Result<Self, JaegerError> {
        let http = http::local_client().map_err(JaegerError::Client)?;
        let mut base = Url::parse("http://127.0.0.1").map_err(JaegerError::Address)?;
        // Err only for addresses without a host.
        let _ = base.set_port(Some(port));
        Ok(Self { base, http })
    }

    /// Where it is, as a person would type it.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether its address shows the user interface. A Jaeger built from its Go module carries none, and says so on a
    /// page of its own.
    pub async fn has_ui(&self) -> bool {
        let page = async { self.http.get(self.base.clone()).send().await?.text().await };
        let page: reqwest::Result<String> = page.await;
        page.is_ok_and(|page| !page.contains("not the Jaeger UI"))
    }

    /// A trace with all spans stored so far, or nothing where none is. Fails when Jaeger does not answer.
    pub async fn trace(&self, id: &TraceId) -> Result<Option<Trace>, JaegerError> {
        let Some((url, text)) = self.get(self.trace_url(id)).await? else {
            return Ok(None);
        };
        let traces = decode(&text).map_err(|source| JaegerError::Unreadable { url, source })?;
        Ok(traces.into_iter().find(|trace| trace.id == id.as_str()))
    }

    /// A trace as Jaeger answered, text of one or several JSON documents.
    pub async fn trace_text(&self, id: &TraceId) -> Result<Option<String>, JaegerError> {
        Ok(self.get(self.trace_url(id)).await?.map(|(_, text)| text))
    }

    /// The traces that fit, newest first, each whole. Fails when Jaeger does not answer.
    pub async fn traces(&self, search: &Search) -> Result<Vec<Trace>, JaegerError> {
        // RFC 3339 cannot hold years past 9999, which no clock here shows.
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
        decode(&text).map_err(|source| JaegerError::Unreadable { url, source })
    }

    /// The services it has spans of, sorted. Fails when Jaeger does not answer.
    pub async fn services(&self) -> Result<Vec<String>, JaegerError> {
        #[derive(Deserialize)]
        struct Services {
            #[serde(default)]
            services: Vec<String>,
        }
        let Some((url, text)) = self.get(self.url(&["services"])).await? else {
            return Ok(Vec::new());
        };
        let answer: Services = serde_json::from_str(&text)
            .map_err(|source| JaegerError::Unreadable { url, source: source.into() })?;
        let mut services = answer.services;
        services.sort_unstable();
        Ok(services)
    }

    fn trace_url(&self, id: &TraceId) -> Url {
        self.url(&["traces", id.as_str()])
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Err only for an address that cannot have a path (`mailto:`), with which the client fails anyway.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v3"]).extend(path);
        }
        url
    }

    /// The answer, or nothing where Jaeger says that it has none.
    async fn get(&self, url: Url) -> Result<Option<(Url, String)>, JaegerError> {
        let unreachable = |source: reqwest::Error| JaegerError::Unreachable {
            url: url.clone(),
            // The address is in our own message.
            source: source.without_url(),
        };
        let mut response = self.http.get(url.clone()).send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(JaegerError::TooLarge { url });
            }
            body.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() {
            return Ok(Some((url, text)));
        }
        match serde_json::from_str::<ErrorAnswer>(&text) {
            // Another server's 404 is no word about traces: only Jaeger's own form is.
            Ok(_) if status == StatusCode::NOT_FOUND => Ok(None),
            Ok(ErrorAnswer { error }) => Err(JaegerError::Refused { url, status, message: error.message }),
            Err(_) => {
                let message = "not in Jaeger's form: is another program on this address?".to_owned();
                Err(JaegerError::Refused { url, status, message })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::Uri;

    /// Answers everything with one text, and the address it was asked for in the span's name.
    async fn backend(status: u16, answer: &'static str) -> Jaeger {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(move |uri: Uri| async move {
            (StatusCode::from_u16(status).unwrap(), answer.replace("URI", &uri.to_string()))
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
    async fn asks_below_the_base_path() {
        let trace = backend(200, TRACE).await.trace(&id()).await.unwrap().unwrap();
        assert_eq!(trace.spans[0].name, "/base/api/v3/traces/5b8efff798038103d269b633813fc60c");
    }

    #[tokio::test]
    async fn searches_with_escaped_parameters() {
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
    async fn tells_not_found_from_not_jaeger() {
        let answer = r#"{"error":{"httpCode":404,"message":"No traces found"}}"#;
        assert!(backend(404, answer).await.trace(&id()).await.unwrap().is_none());
        let error = backend(404, "404 page not found").await.trace(&id()).await.unwrap_err();
        assert!(error.to_string().contains("another program"), "{error}");
        let error = backend(200, "<html>").await.trace(&id()).await.unwrap_err();
        assert!(matches!(error, JaegerError::Unreadable { .. }));
    }

    #[tokio::test]
    async fn passes_jaegers_words_on() {
        let answer = r#"{"error":{"httpCode":500,"message":"disk on fire"}}"#;
        let error = backend(500, answer).await.services().await.unwrap_err();
        assert!(error.to_string().ends_with("500 Internal Server Error: disk on fire"), "{error}");
    }

    #[tokio::test]
    async fn names_the_address_that_does_not_answer() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let jaeger = Jaeger::new(format!("http://{free}").parse().unwrap()).unwrap();
        let error = jaeger.trace(&id()).await.unwrap_err();
        assert!(error.to_string().contains(&free.to_string()), "{error}");
    }
}
