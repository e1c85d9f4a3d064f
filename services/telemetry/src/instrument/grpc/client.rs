//! The client layer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request, Uri, response};
use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_semantic_conventions::attribute::{RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME};
use opentelemetry_semantic_conventions::metric::RPC_CLIENT_CALL_DURATION;
use tonic::Code;

use super::{GRPC, Instruments, OTHER_METHOD, method_of, status};
use crate::instrument::call::{Call, HttpCall, InFlight, Outcome};
use crate::instrument::error_type::ErrorType;
use crate::instrument::grpc_code::code_name;
use crate::instrument::layer::{CallLayer, CallService, StartCall};
use crate::instrument::network::Authority;
use crate::instrument::span::CallSpan;
use crate::signals::scope::Scope;

/// A layer that records a span and the metric `rpc.client.call.duration` for every call to a server.
///
/// Wrap a channel in this layer, and pass the wrapped channel to the client that tonic generates. Every status except
/// `OK` is an error. The layer implements the [client span] of the semantic conventions for gRPC.
///
/// ```no_run
/// use tonic::transport::Endpoint;
/// use tower::ServiceBuilder;
///
/// # async fn connect() {
/// let endpoint = Endpoint::from_static("http://inventory-service:8082");
/// let layer = sightline_telemetry::grpc::client_layer().target(endpoint.uri());
/// let channel = ServiceBuilder::new().layer(layer).service(endpoint.connect_lazy());
/// let client = tonic_health::pb::health_client::HealthClient::new(channel);
/// # }
/// ```
///
/// [client span]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#client
#[must_use]
pub fn client_layer() -> ClientLayer {
    ClientLayer::of(Scope::global())
}

/// The [`tower::Layer`] that [`client_layer`] returns.
pub type ClientLayer = CallLayer<GrpcClient>;

/// A [`tower::Service`] `S` inside a [`ClientLayer`].
pub type ClientService<S> = CallService<S, GrpcClient>;

impl ClientLayer {
    pub(crate) fn of(scope: Scope) -> Self {
        let instruments =
            Instruments::of(scope, RPC_CLIENT_CALL_DURATION, "Measures the duration of an outgoing RPC.");
        Self(GrpcClient { instruments, server: Arc::new([]) })
    }

    /// Sets the attributes `server.address` and `server.port` from the URI of the server.
    ///
    /// The layer cannot read the address from a request, because the channel inside the layer adds the address later.
    #[must_use]
    pub fn target(mut self, server: &Uri) -> Self {
        let port = server.port_u16().or(match server.scheme_str() {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        });
        let authority = server.authority().and_then(|authority| Authority::parse(authority.as_str()));
        self.0.server = authority
            .into_iter()
            .flat_map(|Authority { host, .. }| Authority { host, port }.attributes())
            .collect();
        self
    }
}

/// Starts a [`ClientCall`] for each request.
#[derive(Debug, Clone)]
pub struct GrpcClient {
    instruments: Arc<Instruments>,
    server: Arc<[KeyValue]>,
}

impl StartCall for GrpcClient {
    type Call = ClientCall;

    fn start_call<B>(&self, request: &mut Request<B>) -> InFlight<ClientCall> {
        let call = ClientCall::start(self, request.uri().path());
        call.inject(request.headers_mut());
        call
    }
}

/// A call to a server.
#[derive(Debug)]
pub struct ClientCall {
    client: GrpcClient,
    span: CallSpan,
    started: Instant,
    method: StringValue,
    status: Option<Code>,
    // The status to use if the response has no gRPC status.
    fallback: Code,
}

impl ClientCall {
    fn start(client: &GrpcClient, path: &str) -> InFlight<Self> {
        // An exporter can use an instrumented channel. Its calls must not be recorded, because each recorded call would
        // cause another export.
        if Context::is_current_telemetry_suppressed() {
            return InFlight::untraced();
        }
        let started = Instant::now();
        // On the client side, this program chooses the method, and nobody else can invent a method. So every
        // well-formed method counts as known.
        let (method, name): (StringValue, _) = match method_of(path) {
            Some(method) => (Arc::<str>::from(method).into(), Cow::Owned(method.to_owned())),
            None => (OTHER_METHOD.into(), Cow::Borrowed(GRPC)),
        };
        let mut attributes = Vec::with_capacity(8);
        attributes.push(KeyValue::new(RPC_SYSTEM_NAME, GRPC));
        attributes.push(KeyValue::new(RPC_METHOD, method.clone()));
        attributes.extend_from_slice(&client.server);
        let builder = SpanBuilder {
            attributes: Some(attributes),
            ..SpanBuilder::from_name(name).with_kind(SpanKind::Client)
        };
        let span = CallSpan::start(&client.instruments.scope, builder, &Context::current());
        let client = client.clone();
        InFlight::new(Self { client, span, started, method, status: None, fallback: Code::Unknown })
    }
}

/// The status that tonic returns to the caller when a call fails without a gRPC status. For a channel timeout, tonic
/// returns `CANCELLED`, although gRPC specifies `DEADLINE_EXCEEDED` for a timeout.
fn code_of_failure(error: &ErrorType) -> Code {
    match error.as_ref() {
        "connect" => Code::Unavailable,
        "timeout" => Code::Cancelled,
        name => status::code_of(name).unwrap_or(Code::Unknown),
    }
}

impl Call for ClientCall {
    fn context(&self) -> &Context {
        &self.span.context
    }

    fn end(self, outcome: Outcome) {
        let code = match &outcome {
            Outcome::Complete => self.status.unwrap_or(self.fallback),
            // A client cancels a call by dropping the call, or by dropping the response's stream before the trailers
            // arrive.
            Outcome::Dropped => self.status.unwrap_or(Code::Cancelled),
            Outcome::Failed(error) => self.status.unwrap_or_else(|| code_of_failure(error)),
        };
        let status = code_name(code);
        let failure = match outcome {
            Outcome::Failed(error) => Some(error),
            _ => (code != Code::Ok).then(|| status.into()),
        };
        let seconds = self.started.elapsed().as_secs_f64();
        self.client.instruments.record(seconds, self.method, &self.client.server, status, failure.clone());
        self.span.end([KeyValue::new(RPC_RESPONSE_STATUS_CODE, status)], failure);
    }
}

impl HttpCall for ClientCall {
    fn on_head(&mut self, head: &mut response::Parts) -> bool {
        self.status = status::in_headers(&head.headers);
        self.fallback = status::of_http(head.status);
        false
    }

    fn on_trailers(&mut self, trailers: &HeaderMap) {
        self.status = status::in_headers(trailers).or(self.status);
    }
}

#[cfg(test)]
mod tests;
