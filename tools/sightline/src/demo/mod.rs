//! Three requests to the running services, and the traces they have to leave in Jaeger.
//!
//! Each request carries a `traceparent` of its own making, sampled: so the id is known before anything is sent, and
//! the first service has to continue a caller's trace, which is what it must do for everyone.

mod expected;

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use rustls::crypto::SecureRandom;
use serde_json::{Value as Json, json};
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior, interval};
use url::Url;

use crate::http;
use crate::jaeger::{Jaeger, JaegerError, Trace, TraceId};
use crate::stack::Stack;

pub use self::expected::{Expected, missing};

/// How often Jaeger is asked, and how often it is said that the trace is waited for.
const POLL: Duration = Duration::from_millis(200);
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What is asked of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demo {
    /// An order, which all three services take part in.
    Order,
    /// An order whose user cannot be read: the built-in fault of user 999.
    FailingOrder,
    /// A new user.
    NewUser,
}

impl Demo {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Order, Self::FailingOrder, Self::NewUser];

    /// What it is, in words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Order => "An order",
            Self::FailingOrder => "A failing order",
            Self::NewUser => "A new user",
        }
    }

    /// `unique` is different at each call: no two users share an address.
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

    fn is_answer(self, status: StatusCode) -> bool {
        match self {
            Self::Order => status == StatusCode::OK,
            Self::FailingOrder => status.is_server_error(),
            Self::NewUser => status == StatusCode::CREATED,
        }
    }

    /// The spans without which its trace is not complete.
    #[must_use]
    pub fn expected(self) -> &'static [Expected] {
        match self {
            Self::Order => expected::ORDER,
            Self::FailingOrder => expected::FAILING_ORDER,
            Self::NewUser => expected::NEW_USER,
        }
    }
}

/// A request that was answered as it should be.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What it was.
    pub demo: Demo,
    /// `GET http://…`
    pub request: String,
    /// What was answered.
    pub status: StatusCode,
    /// Its trace.
    pub trace_id: TraceId,
    /// The span the services were told is their caller; it is stored nowhere.
    pub caller: String,
}

/// Why a demonstration failed.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The HTTP client could not be set up.
    #[error("cannot set up an HTTP client")]
    Client(#[source] reqwest::Error),
    /// No random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// A service gave no answer.
    #[error("no answer to {request}")]
    Unanswered {
        /// What was sent.
        request: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// A service answered something else.
    #[error("{request} answered {status}: {body}")]
    Answer {
        /// What was sent.
        request: String,
        /// What was answered.
        status: StatusCode,
        /// The answer's beginning.
        body: String,
    },
    /// Jaeger could not be asked.
    #[error(transparent)]
    Jaeger(#[from] JaegerError),
    /// Spans are missing.
    #[error(
        "trace {trace_id} is not complete after {} s: {stored} spans are stored, missing: {}",
        waited.as_secs(),
        missing.join(", ")
    )]
    Incomplete {
        /// Which.
        trace_id: TraceId,
        /// How long it was waited for.
        waited: Duration,
        /// How many spans there are.
        stored: usize,
        /// What there is not.
        missing: Vec<String>,
    },
}

/// Sends one request to the services of a stack. Fails when it is not answered as the demonstration expects.
pub async fn send(stack: &Stack, demo: Demo) -> Result<Sent, DemoError> {
    let client = http::local_client().map_err(DemoError::Client)?;
    let caller = Caller::new()?;
    let request = demo.request(&stack.order_url(), &stack.user_url(), &caller.span_id);
    deliver(&client, demo, request, caller).await
}

/// Sends an order to the order-service at this address, on whatever machine. Fails when it is not served.
pub async fn order(orders: &Url) -> Result<Sent, DemoError> {
    let client = http::client(orders).map_err(DemoError::Client)?;
    let request = order_request(orders.as_str().trim_end_matches('/'));
    deliver(&client, Demo::Order, request, Caller::new()?).await
}

type Request = (Method, String, Option<Json>);

fn order_request(orders: &str) -> Request {
    (Method::GET, format!("{orders}/orders/7"), None)
}

/// Who asks: a trace and a span that exist nowhere yet.
struct Caller {
    trace_id: TraceId,
    span_id: String,
}

impl Caller {
    fn new() -> Result<Self, DemoError> {
        let trace_id = format!("{:032x}", u128::from_be_bytes(random()?));
        // All zero is no id, and nothing random either.
        let trace_id = trace_id.parse().map_err(|_| DemoError::Random)?;
        Ok(Self { trace_id, span_id: format!("{:016x}", u64::from_be_bytes(random()?)) })
    }
}

async fn deliver(
    client: &Client,
    demo: Demo,
    (method, url, body): Request,
    Caller { trace_id, span_id: caller }: Caller,
) -> Result<Sent, DemoError> {
    let request = format!("{method} {url}");
    let (status, body) = exchange(client, method, &url, body, &format!("00-{trace_id}-{caller}-01"))
        .await
        .map_err(|source| DemoError::Unanswered { request: request.clone(), source: source.without_url() })?;
    if demo.is_answer(status) {
        Ok(Sent { demo, request, status, trace_id, caller })
    } else {
        let body = body.chars().take(300).collect();
        Err(DemoError::Answer { request, status, body })
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

/// Waits until the trace is complete: every expected span is stored, every parent but the caller's too, and nothing
/// was added between two looks. Calls `waiting` every few seconds with the time waited. Fails when `within` is over.
pub async fn complete(
    jaeger: &Jaeger,
    sent: &Sent,
    within: Duration,
    mut waiting: impl FnMut(Duration),
) -> Result<Trace, DemoError> {
    let began = Instant::now();
    let mut tick = interval(POLL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = 0;
    let mut said = began;
    loop {
        tick.tick().await;
        let trace = jaeger.trace(&sent.trace_id).await?;
        let trace = trace.unwrap_or_else(|| Trace { id: sent.trace_id.to_string(), spans: Vec::new() });
        let missing = missing(&trace, sent.demo.expected(), Some(&sent.caller));
        let stored = trace.spans.len();
        if missing.is_empty() && stored == before {
            return Ok(trace);
        }
        before = stored;
        let waited = began.elapsed();
        if waited > within {
            return Err(DemoError::Incomplete { trace_id: sent.trace_id.clone(), waited, stored, missing });
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            waiting(waited);
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], DemoError> {
    let random: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
    let mut bytes = [0; N];
    random.fill(&mut bytes).map_err(|_| DemoError::Random)?;
    Ok(bytes)
}
