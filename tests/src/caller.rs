//! A caller of the services: someone outside, with a trace of their own.

use anyhow::{Context as _, Result};
use reqwest::header::{HeaderMap, HeaderValue};
use sightline::jaeger::TraceId;
use url::Url;

/// One request, made within a trace that the caller began, so that its trace is known before it is stored.
#[derive(Debug, Clone)]
pub struct Caller {
    trace_id: String,
    span_id: String,
    headers: HeaderMap,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: String,
    /// The caller's trace, in which it happened if it was continued.
    pub trace: TraceId,
}

impl Default for Caller {
    fn default() -> Self {
        Self::new()
    }
}

impl Caller {
    /// A caller with a new trace, sampled.
    #[must_use]
    pub fn new() -> Self {
        Self::flagged("01")
    }

    /// A caller with a new trace that nobody is to record.
    #[must_use]
    pub fn unsampled() -> Self {
        Self::flagged("00")
    }

    /// A caller with a new trace of which it sends nothing, unless [`with`](Self::with) does.
    #[must_use]
    pub fn silent() -> Self {
        let trace_id = uuid::Uuid::new_v4().simple().to_string();
        let span_id = uuid::Uuid::new_v4().simple().to_string()[..16].to_owned();
        Self { headers: HeaderMap::new(), trace_id, span_id }
    }

    fn flagged(flags: &str) -> Self {
        let caller = Self::silent();
        let traceparent = format!("00-{}-{}-{flags}", caller.trace_id, caller.span_id);
        caller.with("traceparent", &traceparent)
    }

    /// Sends this header too. What cannot be a header is not sent.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.headers.append(name, value);
        }
        self
    }

    /// The id of the caller's trace.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The id of the caller's own span, which it sends nowhere.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.span_id
    }

    /// Asks for an address below `base`.
    pub async fn get(&self, http: &reqwest::Client, base: &Url, path: &str) -> Result<Answer> {
        self.send(http.get(base.join(path)?)).await
    }

    /// Sends JSON to an address below `base`.
    pub async fn post(&self, http: &reqwest::Client, base: &Url, path: &str, body: &str) -> Result<Answer> {
        let request = http.post(base.join(path)?).header("content-type", "application/json");
        self.send(request.body(body.to_owned())).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer> {
        let answer =
            request.headers(self.headers.clone()).send().await.context("the service does not answer")?;
        let status = answer.status().as_u16();
        let body = answer.text().await.context("the service's answer ends early")?;
        Ok(Answer { status, body, trace: self.trace_id.parse()? })
    }
}
