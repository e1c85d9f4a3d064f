//! Three requests to the running services, and the traces that must be in Jaeger afterwards.
//!
//! Each request has a `traceparent` header with a new trace id and the sampled flag. The trace id is therefore known
//! before the request is sent, and the first service must continue the trace of its caller.

mod expected;

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use rustls::crypto::SecureRandom;
use serde_json::{Value as Json, json};
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior, interval};
use url::Url;

use crate::examples::{self, ORDER_SERVICE, USER_SERVICE};
use crate::http;
use crate::jaeger::{Jaeger, JaegerError, Trace, TraceId};
use crate::stack::{PortError, Stack, StackConfig};

pub use self::expected::{Expected, missing};

/// The time between two queries for the same trace.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The time between two reports that the trace is not complete yet.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

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

    /// Returns the request. `unique` must be different in each call, because two users cannot have the same e-mail
    /// address.
    fn request(self, orders: &str, users: &str, unique: &str) -> Request {
        match self {
            Self::Order => order_request(orders),
            Self::FailingOrder => (Method::GET, format!("{orders}/orders/999"), None),
            Self::NewUser => {
                let user = json!({"name": "Ada Lovelace", "email": format!("ada.{unique}@example.org")});
                (Method::POST, format!("{users}/users"), Some(user))
            }
        }
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
    /// The span id of the caller in the `traceparent` header. This span is not stored.
    pub caller: String,
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
    let caller = Caller::new()?;
    let request = demo.request(&stack.url(ORDER_SERVICE)?, &stack.url(USER_SERVICE)?, &caller.span_id);
    send_request(&client, demo, request, caller).await
}

/// Sends an order to the order-service at this address, which may be on a different machine. Fails if there is no
/// successful response.
pub async fn send_order(orders: &Url) -> Result<Sent, DemoError> {
    let client = http::client(orders).map_err(DemoError::Client)?;
    let request = order_request(orders.as_str().trim_end_matches('/'));
    send_request(&client, Demo::Order, request, Caller::new()?).await
}

/// Method, URL and JSON body.
type Request = (Method, String, Option<Json>);

fn order_request(orders: &str) -> Request {
    (Method::GET, format!("{orders}/orders/7"), None)
}

/// The trace id and the span id that the `traceparent` header contains. There is no span with this span id.
struct Caller {
    trace_id: TraceId,
    span_id: String,
}

impl Caller {
    fn new() -> Result<Self, DemoError> {
        let trace_id = format!("{:032x}", u128::from_be_bytes(random()?));
        // Parsing fails only if all bits are zero, because such an id is not valid.
        let trace_id = trace_id.parse().map_err(|_| DemoError::Random)?;
        Ok(Self { trace_id, span_id: format!("{:016x}", u64::from_be_bytes(random()?)) })
    }
}

async fn send_request(
    client: &Client,
    demo: Demo,
    (method, url, body): Request,
    Caller { trace_id, span_id: caller }: Caller,
) -> Result<Sent, DemoError> {
    let request = format!("{method} {url}");
    let (status, body) = exchange(client, method, &url, body, &format!("00-{trace_id}-{caller}-01"))
        .await
        .map_err(|source| DemoError::NoResponse { request: request.clone(), source: source.without_url() })?;
    if demo.expects(status) {
        Ok(Sent { demo, request, status, trace_id, caller })
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
    traceparent: &str,
) -> reqwest::Result<(StatusCode, String)> {
    let mut request = client.request(method, url).header("traceparent", traceparent);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await?;
    Ok((response.status(), response.text().await?))
}

/// Waits until the trace is complete, and returns it.
///
/// A trace is complete when all expected spans are stored, when all parents except the caller's span are stored, and
/// when two consecutive queries return the same number of spans. Every few seconds, calls `progress` with the time
/// since the beginning of the wait. Fails after `timeout`, or if Jaeger cannot be queried.
pub async fn wait_until_complete(
    jaeger: &Jaeger,
    sent: &Sent,
    timeout: Duration,
    mut progress: impl FnMut(Duration),
) -> Result<Trace, DemoError> {
    let began = Instant::now();
    let mut tick = interval(POLL_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut previously_stored = 0;
    let mut last_report = began;
    loop {
        tick.tick().await;
        let trace = jaeger.trace(&sent.trace_id).await?;
        let trace = trace.unwrap_or_else(|| Trace { id: sent.trace_id.to_string(), spans: Vec::new() });
        let missing = missing(&trace, sent.demo.expected(), Some(&sent.caller));
        let stored = trace.spans.len();
        if missing.is_empty() && stored == previously_stored {
            return Ok(trace);
        }
        previously_stored = stored;
        let waited = began.elapsed();
        if waited > timeout {
            return Err(DemoError::Incomplete { trace_id: sent.trace_id.clone(), waited, stored, missing });
        }
        if last_report.elapsed() >= REPORT_INTERVAL {
            last_report = Instant::now();
            progress(waited);
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], DemoError> {
    let random: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
    let mut bytes = [0; N];
    random.fill(&mut bytes).map_err(|_| DemoError::Random)?;
    Ok(bytes)
}
