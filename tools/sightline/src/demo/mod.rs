//! Three requests to the running services, and the traces that must be in Jaeger afterwards.
//!
//! The first service starts the trace of a request, as it does for any caller without telemetry. The response header
//! `traceresponse` contains the trace id. If the header says that the trace is not sampled, or if it is missing, the
//! request is sent again with a `traceparent` header that has the sampled flag. `sightline check` therefore also works
//! with a sampling ratio below 1. The span in that header is not stored, so Jaeger's UI marks such a trace as
//! incomplete. That is why the header is not always sent.

mod expected;
mod stored;
mod trace_header;
mod wait;

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value as Json, json};
use thiserror::Error;
use url::Url;

use self::trace_header::{Caller, TRACEPARENT, TRACERESPONSE, sampled_trace};
use self::wait::Outcome;
use crate::examples::{self, ORDER_SERVICE, USER_SERVICE};
use crate::http;
use crate::jaeger::{Jaeger, JaegerError, Trace, TraceId};
use crate::stack::{PortError, Stack, StackConfig};

pub use self::expected::{Expected, missing};
pub use self::stored::{Stored, StoredError, wait_until_stored};

/// The time between two queries for the same trace.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Returns the example services that this configuration does not run. The requests can be sent only if there are none.
#[must_use]
pub fn missing_services(config: &StackConfig) -> Vec<&'static str> {
    examples::missing(|name| config.processes.iter().any(|process| process == name))
}

/// A request to the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demo {
    /// An order. All three services take part in it.
    Order,
    /// An order that fails, because the built-in fault makes user 999 unreadable.
    FailingOrder,
    /// A new user.
    NewUser,
}

impl Demo {
    /// All requests, in the order in which they are sent and shown.
    pub const ALL: [Self; 3] = [Self::Order, Self::FailingOrder, Self::NewUser];

    /// Returns a title to display.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Order => "An order",
            Self::FailingOrder => "A failing order",
            Self::NewUser => "A new user",
        }
    }

    /// Returns the method, the URL and the JSON body of the request. They are different in each call, because two users
    /// cannot have the same e-mail address.
    fn request(self, orders: &str, users: &str) -> Result<Request, DemoError> {
        Ok(match self {
            Self::Order => order_request(orders),
            Self::FailingOrder => (Method::GET, format!("{orders}/orders/999"), None),
            Self::NewUser => {
                let unique = Caller::new()?.span_id;
                let user = json!({"name": "Ada Lovelace", "email": format!("ada.{unique}@example.org")});
                (Method::POST, format!("{users}/users"), Some(user))
            }
        })
    }

    fn expects(self, status: StatusCode) -> bool {
        match self {
            Self::Order => status == StatusCode::OK,
            Self::FailingOrder => status.is_server_error(),
            Self::NewUser => status == StatusCode::CREATED,
        }
    }

    /// Returns the spans that the complete trace of this request contains.
    #[must_use]
    pub fn expected(self) -> &'static [Expected] {
        match self {
            Self::Order => expected::ORDER,
            Self::FailingOrder => expected::FAILING_ORDER,
            Self::NewUser => expected::NEW_USER,
        }
    }
}

/// A request that got the expected response.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The kind of request.
    pub demo: Demo,
    /// The method and URL, such as `GET http://…`.
    pub request: String,
    /// The status of the response.
    pub status: StatusCode,
    /// The trace id of the request.
    pub trace_id: TraceId,
    /// The span id in the `traceparent` header. This span is not stored. `None` if the service has started the trace.
    pub caller: Option<String>,
}

/// An error while sending a request or waiting for its trace.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// No random trace id could be generated.
    #[error("the system cannot generate random numbers")]
    Random,
    /// A service did not respond.
    #[error("no response to {request}")]
    NoResponse {
        /// The method and URL.
        request: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// A service did not respond with the expected status.
    #[error("unexpected response to {request}: {status}: {body}")]
    UnexpectedResponse {
        /// The method and URL.
        request: String,
        /// The status of the response.
        status: StatusCode,
        /// The first 300 characters of the response body.
        body: String,
    },
    /// The stack has no such service: see [`missing_services`].
    #[error(transparent)]
    Service(#[from] PortError),
    /// Jaeger could not be queried.
    #[error(transparent)]
    Jaeger(#[from] JaegerError),
    /// The trace was not complete within the time limit.
    #[error(
        "trace {trace_id} is not complete after {} s: {stored} spans are stored, missing: {}",
        waited.as_secs(),
        missing.join(", ")
    )]
    Incomplete {
        /// The id of the trace.
        trace_id: TraceId,
        /// How long the program waited for the trace.
        waited: Duration,
        /// The number of stored spans.
        stored: usize,
        /// Descriptions of what is missing: see [`missing`].
        missing: Vec<String>,
    },
}

/// Sends one of the requests to the services of a stack. Fails if there is no response, or if the response
/// has an unexpected status.
pub async fn send(stack: &Stack, demo: Demo) -> Result<Sent, DemoError> {
    let client = http::local_client().map_err(DemoError::Client)?;
    let (orders, users) = (stack.url(ORDER_SERVICE)?, stack.url(USER_SERVICE)?);
    send_sampled(&client, demo, || demo.request(&orders, &users)).await
}

/// Sends an order to the order-service at this address, which may be on a different machine. Fails if there is no
/// successful response.
pub async fn send_order(orders: &Url) -> Result<Sent, DemoError> {
    let client = http::client(orders).map_err(DemoError::Client)?;
    let orders = orders.as_str().trim_end_matches('/');
    send_sampled(&client, Demo::Order, || Ok(order_request(orders))).await
}

/// Method, URL and JSON body.
type Request = (Method, String, Option<Json>);

fn order_request(orders: &str) -> Request {
    (Method::GET, format!("{orders}/orders/7"), None)
}

/// Sends a request. If the service does not start a sampled trace, sends the request again as part of a sampled trace.
async fn send_sampled(
    client: &Client,
    demo: Demo,
    request: impl Fn() -> Result<Request, DemoError>,
) -> Result<Sent, DemoError> {
    let (request_line, status, trace) = send_request(client, demo, request()?, None).await?;
    if let Some(trace_id) = trace {
        return Ok(Sent { demo, request: request_line, status, trace_id, caller: None });
    }
    let caller = Caller::new()?;
    let (request, status, _) = send_request(client, demo, request()?, Some(&caller)).await?;
    Ok(Sent { demo, request, status, trace_id: caller.trace_id, caller: Some(caller.span_id) })
}

/// Sends a request, and returns its method and URL, the status of the response, and the trace id if the response has
/// the id of a sampled trace. Fails if there is no response, or if it has an unexpected status.
async fn send_request(
    client: &Client,
    demo: Demo,
    (method, url, body): Request,
    caller: Option<&Caller>,
) -> Result<(String, StatusCode, Option<TraceId>), DemoError> {
    let request = format!("{method} {url}");
    let (status, trace, body) = exchange(client, method, &url, body, caller)
        .await
        .map_err(|source| DemoError::NoResponse { request: request.clone(), source: source.without_url() })?;
    if demo.expects(status) {
        Ok((request, status, trace))
    } else {
        let body = body.chars().take(300).collect();
        Err(DemoError::UnexpectedResponse { request, status, body })
    }
}

async fn exchange(
    client: &Client,
    method: Method,
    url: &str,
    body: Option<Json>,
    caller: Option<&Caller>,
) -> reqwest::Result<(StatusCode, Option<TraceId>, String)> {
    let mut request = client.request(method, url);
    if let Some(caller) = caller {
        request = request.header(TRACEPARENT, caller.traceparent());
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await?;
    let header = response.headers().get(TRACERESPONSE).and_then(|value| value.to_str().ok());
    let trace = header.and_then(sampled_trace);
    Ok((response.status(), trace, response.text().await?))
}

/// Waits until the trace is complete, and returns it.
///
/// A trace is complete when all expected spans are stored, when all parents except the span of [`Sent::caller`] are
/// stored, and when two consecutive queries return the same number of spans. Every few seconds, calls `progress` with
/// the time since the beginning of the wait. Fails after `timeout`, or if Jaeger cannot be queried.
pub async fn wait_until_complete(
    jaeger: &Jaeger,
    sent: &Sent,
    timeout: Duration,
    progress: impl FnMut(Duration),
) -> Result<Trace, DemoError> {
    let mut previously_stored = 0;
    let check = async || {
        let trace = jaeger.trace(&sent.trace_id).await?;
        let trace = trace.unwrap_or_else(|| Trace { id: sent.trace_id.to_string(), spans: Vec::new() });
        let missing = missing(&trace, sent.demo.expected(), sent.caller.as_deref());
        let stored = trace.spans.len();
        let is_complete = missing.is_empty() && stored == previously_stored;
        previously_stored = stored;
        Ok::<_, JaegerError>(if is_complete { Ok(trace) } else { Err((stored, missing)) })
    };
    match wait::until(POLL_INTERVAL, timeout, progress, check).await? {
        Outcome::Done(trace) => Ok(trace),
        Outcome::Late { waited, missing: (stored, missing) } => {
            Err(DemoError::Incomplete { trace_id: sent.trace_id.clone(), waited, stored, missing })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::HeaderMap;

    use super::*;

    const TRACE: &str = "5b8efff798038103d269b633813fc60c";

    /// Sends an order to a service that sends `traceresponse` with these flags, or without flags no such header.
    /// Returns what was sent, and the headers `traceparent` that the service received.
    async fn order(flags: Option<&'static str>) -> (Sent, Vec<Option<String>>) {
        let received = Arc::new(Mutex::new(Vec::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let log = Arc::clone(&received);
        let app = Router::new().fallback(async move |headers: HeaderMap| {
            let parent = headers.get(TRACEPARENT).map(|value| value.to_str().unwrap().to_owned());
            log.lock().unwrap().push(parent);
            let mut headers = HeaderMap::new();
            if let Some(flags) = flags {
                let value = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
                headers.insert(TRACERESPONSE, value.parse().unwrap());
            }
            headers
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        let sent = send_order(&url).await.unwrap();
        let received = received.lock().unwrap().clone();
        (sent, received)
    }

    #[tokio::test]
    async fn the_service_starts_the_trace() {
        let (sent, parents) = order(Some("01")).await;
        assert_eq!((sent.trace_id.as_str(), sent.caller), (TRACE, None));
        assert_eq!(parents, [None]);
    }

    #[tokio::test]
    async fn asks_for_a_sampled_trace_if_the_service_does_not_start_one() {
        for flags in [Some("00"), None] {
            let (sent, parents) = order(flags).await;
            let caller = sent.caller.unwrap();
            let expected = format!("00-{}-{caller}-01", sent.trace_id);
            assert_eq!(parents, [None, Some(expected)], "{flags:?}");
            assert_ne!(sent.trace_id.as_str(), TRACE);
        }
    }
}
