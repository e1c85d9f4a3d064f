//! A test client for the services. Each [`Caller`] has its own trace.

use anyhow::{Context as _, Result};
use reqwest::header::{HeaderMap, HeaderValue};
use sightline::jaeger::TraceId;
use url::Url;

/// The headers that a client sends, and the IDs of its trace and span. The test creates the IDs, so it knows the trace
/// ID before the trace is stored.
#[derive(Debug, Clone)]
pub struct Caller {
    trace_id: String,
    span_id: String,
    headers: HeaderMap,
}

/// A service's response.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The complete body.
    pub body: String,
    /// The ID of the caller's trace. The trace contains the spans of the request if the service continued the trace.
    pub trace: TraceId,
}

impl Default for Caller {
    fn default() -> Self {
        Self::new()
    }
}

impl Caller {
    /// Creates a caller with a new, sampled trace.
    #[must_use]
    pub fn new() -> Self {
        Self::with_trace_flags("01")
    }

    /// Creates a caller with a new trace that is not sampled.
    #[must_use]
    pub fn unsampled() -> Self {
        Self::with_trace_flags("00")
    }

    /// Creates a caller with new IDs and without headers, so its requests do not contain these IDs.
    /// [`with_header`](Self::with_header) can add headers.
    #[must_use]
    pub fn without_context() -> Self {
        let trace_id = uuid::Uuid::new_v4().simple().to_string();
        let span_id = uuid::Uuid::new_v4().simple().to_string()[..16].to_owned();
        Self { headers: HeaderMap::new(), trace_id, span_id }
    }

    fn with_trace_flags(flags: &str) -> Self {
        let caller = Self::without_context();
        let traceparent = format!("00-{}-{}-{flags}", caller.trace_id, caller.span_id);
        caller.with_header("traceparent", &traceparent)
    }

    /// Adds a header. Does nothing if `value` is not a valid header value.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.headers.append(name, value);
        }
        self
    }

    /// The ID of the caller's trace.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The ID of the caller's own span, which is not exported.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.span_id
    }

    /// Sends a GET request to `path`, relative to `base`.
    pub async fn get(&self, http: &reqwest::Client, base: &Url, path: &str) -> Result<Response> {
        self.send(http.get(base.join(path)?)).await
    }

    /// Sends a POST request with a JSON body to `path`, relative to `base`.
    pub async fn post(&self, http: &reqwest::Client, base: &Url, path: &str, body: &str) -> Result<Response> {
        let request = http.post(base.join(path)?).header("content-type", "application/json");
        self.send(request.body(body.to_owned())).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response> {
        let response =
            request.headers(self.headers.clone()).send().await.context("the service did not respond")?;
        let status = response.status().as_u16();
        let body = response.text().await.context("reading the response body failed")?;
        Ok(Response { status, body, trace: self.trace_id.parse()? })
    }
}
