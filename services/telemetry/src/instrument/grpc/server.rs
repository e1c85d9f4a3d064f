//! The server layer.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, response};
use opentelemetry::trace::{SpanBuilder, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, ERROR_TYPE, NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT, RPC_METHOD, RPC_METHOD_ORIGINAL,
    RPC_REQUEST_METADATA, RPC_RESPONSE_METADATA, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME, SERVER_ADDRESS,
    SERVER_PORT,
};
use opentelemetry_semantic_conventions::metric::RPC_SERVER_CALL_DURATION;
use tonic::Code;
use tonic::transport::server::TcpConnectInfo;

use super::{GRPC, Instruments, OTHER_METHOD, method_of, status};
use crate::context::propagation;
use crate::instrument::call::{Call, HttpCall, InFlight, Outcome};
use crate::instrument::grpc_code::code_name;
use crate::instrument::layer::{CallLayer, CallService, StartCall};
use crate::instrument::network::{Authority, peer_attributes};
use crate::instrument::options::{CallOptions, Convention, ServerKind, ServerOptions};
use crate::instrument::span::CallSpan;
use crate::signals::scope::Scope;
use crate::text;

/// A layer that records a span and the metric `rpc.server.call.duration` for every call that a server receives.
///
/// The statuses `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS` are server
/// errors. The layer implements the [server span] of the semantic conventions for gRPC.
///
/// A method is unknown if the path of the request does not have the form `/package.Service/Method`. It is also unknown
/// if the server responds with `UNIMPLEMENTED` in the headers and without a `grpc-message`. tonic responds this way
/// when the method has no handler. A client can invent method names, and each of them would otherwise become a new time
/// series. So for an unknown method, the span is named `grpc`, `rpc.method` is `_OTHER`, and `rpc.method_original` is
/// the name that the client sent.
///
/// ```no_run
/// use tonic::transport::Server;
///
/// # async fn serve() -> Result<(), tonic::transport::Error> {
/// let (_reporter, health) = tonic_health::server::health_reporter();
/// Server::builder()
///     .layer(sightline_telemetry::grpc::server_layer())
///     .add_service(health)
///     .serve(([127, 0, 0, 1], 8082).into())
///     .await
/// # }
/// ```
///
/// [server span]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#server
#[must_use]
pub fn server_layer() -> ServerLayer {
    ServerLayer::of(Scope::global())
}

/// The [`tower::Layer`] that [`server_layer`] returns.
pub type ServerLayer = CallLayer<GrpcServer>;

/// A [`tower::Service`] `S` inside a [`ServerLayer`].
pub type ServerService<S> = CallService<S, GrpcServer>;

impl ServerLayer {
    pub(crate) fn of(scope: Scope) -> Self {
        let description = "Measures the duration of an incoming RPC.";
        let options = ServerOptions::of_settings(GrpcServer::CONVENTION, &scope.settings.trusted_proxies);
        Self(GrpcServer {
            instruments: Instruments::of(scope, RPC_SERVER_CALL_DURATION, description),
            options,
        })
    }
}

/// Starts a [`ServerCall`] for each request.
#[derive(Debug, Clone)]
pub struct GrpcServer {
    instruments: Arc<Instruments>,
    // `None` for a layer without options, so that such a layer is as fast as if there were no options
    options: Option<Arc<ServerOptions>>,
}

impl ServerKind for GrpcServer {
    const CONVENTION: &'static Convention = &Convention {
        request_header: RPC_REQUEST_METADATA,
        response_header: RPC_RESPONSE_METADATA,
        own: &[
            CLIENT_ADDRESS,
            ERROR_TYPE,
            NETWORK_PEER_ADDRESS,
            NETWORK_PEER_PORT,
            RPC_METHOD,
            RPC_METHOD_ORIGINAL,
            RPC_RESPONSE_STATUS_CODE,
            RPC_SYSTEM_NAME,
            SERVER_ADDRESS,
            SERVER_PORT,
        ],
    };

    fn options_mut(&mut self) -> &mut Option<Arc<ServerOptions>> {
        &mut self.options
    }
}

impl StartCall for GrpcServer {
    type Call = ServerCall;

    fn start_call<B>(&self, request: &mut Request<B>) -> InFlight<ServerCall> {
        if self.options.as_ref().is_some_and(|options| !options.records(request)) {
            return InFlight::unrecorded(propagation::extract(request.headers()));
        }
        InFlight::new(ServerCall::start(self, request))
    }
}

/// A call that the server is handling.
#[derive(Debug)]
pub struct ServerCall {
    instruments: Arc<Instruments>,
    span: CallSpan,
    started: Instant,
    deadline: Option<Duration>,
    method: Method,
    status: Option<Code>,
    // The status to use if the response has no gRPC status.
    fallback: Code,
    options: Option<Box<CallOptions>>,
}

/// The method that the client called.
#[derive(Debug)]
enum Method {
    Known(Arc<str>),
    Unknown(Arc<str>),
}

impl ServerCall {
    fn start<B>(server: &GrpcServer, request: &Request<B>) -> Self {
        let started = Instant::now();
        let parent = propagation::extract(request.headers());
        let path = request.uri().path();
        let (method, name) = match method_of(path) {
            Some(method) => (Method::Known(method.into()), Cow::Owned(method.to_owned())),
            None => (Method::Unknown(text::bounded(path).into()), Cow::Borrowed(GRPC)),
        };
        let mut attributes = Vec::with_capacity(12);
        attributes.push(KeyValue::new(RPC_SYSTEM_NAME, GRPC));
        let peer = peer(request);
        let options = server.options.as_ref();
        let origin = options.and_then(|options| options.origin(request.headers(), peer));
        let authority = origin.and_then(|origin| origin.host).or_else(|| Authority::of_request(request));
        attributes.extend(authority.into_iter().flat_map(Authority::attributes));
        let client = origin.map(|origin| origin.client);
        attributes.extend(peer.into_iter().flat_map(|peer| peer_attributes(peer, client)));
        let options = options.map(|options| Box::new(CallOptions::start(options, request, &mut attributes)));
        let builder = SpanBuilder {
            attributes: Some(attributes),
            ..SpanBuilder::from_name(name).with_kind(SpanKind::Server)
        };
        let instruments = server.instruments.clone();
        let span = CallSpan::start(&instruments.scope, builder, &parent);
        let deadline = status::deadline(request.headers());
        Self { instruments, span, started, deadline, method, status: None, fallback: Code::Unknown, options }
    }

    /// The status to report.
    fn code(&self, outcome: &Outcome) -> Code {
        match outcome {
            Outcome::Complete => self.status.unwrap_or(self.fallback),
            Outcome::Failed(_) => self.status.unwrap_or(Code::Unknown),
            // The caller cancelled the call, or the deadline has passed. Only the elapsed time shows which of the two
            // happened.
            Outcome::Dropped if self.deadline.is_some_and(|deadline| self.started.elapsed() >= deadline) => {
                Code::DeadlineExceeded
            }
            Outcome::Dropped => Code::Cancelled,
        }
    }
}

fn peer<B>(request: &Request<B>) -> Option<SocketAddr> {
    let extensions = request.extensions();
    match extensions.get::<TcpConnectInfo>() {
        Some(info) => info.remote_addr(),
        // axum inserts this value if a router of axum serves the calls.
        #[cfg(feature = "http")]
        None => extensions
            .get::<axum::extract::ConnectInfo<SocketAddr>>()
            .map(|axum::extract::ConnectInfo(peer)| *peer),
        #[cfg(not(feature = "http"))]
        None => None,
    }
}

impl Call for ServerCall {
    fn context(&self) -> &Context {
        &self.span.context
    }

    fn end(self, outcome: Outcome) {
        let code = self.code(&outcome);
        let status = code_name(code);
        let failure = match outcome {
            Outcome::Failed(error) => Some(error),
            _ => status::is_server_error(code).then(|| status.into()),
        };
        let (method, original): (StringValue, Option<KeyValue>) = match self.method {
            Method::Known(method) => (method.into(), None),
            Method::Unknown(original) => {
                (OTHER_METHOD.into(), Some(KeyValue::new(RPC_METHOD_ORIGINAL, original)))
            }
        };
        let seconds = self.started.elapsed().as_secs_f64();
        let more = self.options.as_ref().map_or(&[][..], |options| options.metric_attributes());
        self.instruments.record(seconds, method.clone(), more, status, failure.clone());

        // The attribute `rpc.method` is set here and not when the span starts. At the start, it is not certain that
        // the method is known. If the attribute were set at the start and the method turned out to be unknown, the SDK
        // would not replace the attribute but add a second one.
        let attributes = [KeyValue::new(RPC_METHOD, method), KeyValue::new(RPC_RESPONSE_STATUS_CODE, status)];
        self.span.end(attributes.into_iter().chain(original), failure);
    }
}

impl HttpCall for ServerCall {
    fn on_head(&mut self, head: &mut response::Parts) -> bool {
        self.status = status::in_headers(&head.headers);
        self.fallback = status::of_http(head.status);
        if let Some(options) = &mut self.options {
            options.on_head(&self.span, head);
        }
        if self.status == Some(Code::Unimplemented)
            && !head.headers.contains_key(tonic::Status::GRPC_MESSAGE)
            && let Method::Known(method) = &self.method
        {
            self.span.context.span().update_name(GRPC);
            self.method = Method::Unknown(method.clone());
        }
        false
    }

    fn on_trailers(&mut self, trailers: &HeaderMap) {
        self.status = status::in_headers(trailers).or(self.status);
        if let Some(options) = &mut self.options {
            options.on_trailers(&self.span, trailers);
        }
    }
}

#[cfg(test)]
mod tests;
