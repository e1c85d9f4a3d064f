//! The server side.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use http::{HeaderMap, Request, Response, response};
use opentelemetry::trace::{SpanBuilder, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, StringValue, global};
use opentelemetry_semantic_conventions::attribute::{
    RPC_METHOD, RPC_METHOD_ORIGINAL, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME,
};
use opentelemetry_semantic_conventions::metric::RPC_SERVER_CALL_DURATION;
use tonic::Code;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};

use super::{GRPC, Instruments, OTHER_METHOD, method_of, status};
use crate::call::{Call, Ending, Exchange, InFlight};
use crate::http::{Authority, peer_attributes};
use crate::propagation::HeaderExtractor;
use crate::response::{ResponseBody, ResponseFuture};
use crate::scope::Scope;
use crate::span::CallSpan;
use crate::text;

/// A span and the metric `rpc.server.call.duration` for every call: `Server::builder().layer(server_layer())`.
///
/// A method is unknown when the server says so: `UNIMPLEMENTED` in the headers, without a message, which is what
/// tonic answers where no handler exists. Anyone can call such a method by any name, so its span is named `grpc`
/// and its `rpc.method` is `_OTHER`, with what was asked for in `rpc.method_original`.
#[must_use]
pub fn server_layer() -> ServerLayer {
    ServerLayer::of(Scope::global())
}

/// See [`server_layer`].
#[derive(Debug, Clone)]
pub struct ServerLayer(Arc<Instruments>);

impl ServerLayer {
    pub(crate) fn of(scope: Scope) -> Self {
        Self(Instruments::of(scope, RPC_SERVER_CALL_DURATION, "Measures the duration of an incoming RPC."))
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerService { inner, instruments: self.0.clone() }
    }
}

/// A service behind [`server_layer`].
#[derive(Debug, Clone)]
pub struct ServerService<S> {
    inner: S,
    instruments: Arc<Instruments>,
}

impl<S, B, R> Service<Request<B>> for ServerService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    R: http_body::Body,
{
    type Response = Response<ResponseBody<R, ServerCall>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ServerCall>;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = InFlight::new(ServerCall::start(self.instruments.clone(), &request));
        ResponseFuture::new(call, || self.inner.call(request))
    }
}

/// One call being served.
#[derive(Debug)]
pub struct ServerCall {
    instruments: Arc<Instruments>,
    span: CallSpan,
    started: Instant,
    deadline: Option<Duration>,
    method: Method,
    status: Option<Code>,
    without_status: Code,
}

/// What was called.
#[derive(Debug)]
enum Method {
    Known(Arc<str>),
    Unknown(Arc<str>),
}

impl ServerCall {
    fn start<B>(instruments: Arc<Instruments>, request: &Request<B>) -> Self {
        let started = Instant::now();
        let parent = global::get_text_map_propagator(|propagator| {
            propagator.extract(&HeaderExtractor::new(request.headers()))
        });

        let path = request.uri().path();
        let (method, name) = match method_of(path) {
            Some(method) => (Method::Known(method.into()), Cow::Owned(method.to_owned())),
            None => (Method::Unknown(text::bounded(path).into()), Cow::Borrowed(GRPC)),
        };
        let mut attributes = Vec::with_capacity(12);
        attributes.push(KeyValue::new(RPC_SYSTEM_NAME, GRPC));
        attributes.extend(Authority::of_request(request).into_iter().flat_map(Authority::attributes));
        attributes.extend(peer(request).into_iter().flat_map(peer_attributes));
        let builder = SpanBuilder {
            attributes: Some(attributes),
            ..SpanBuilder::from_name(name).with_kind(SpanKind::Server)
        };
        let span = CallSpan::start(&instruments.scope, builder, &parent);
        let deadline = status::deadline(request.headers());
        Self { instruments, span, started, deadline, method, status: None, without_status: Code::Unknown }
    }

    /// The status to report, and whether it is the caller's doing.
    fn outcome(&self, ending: &Ending) -> Code {
        match ending {
            Ending::Complete => self.status.unwrap_or(self.without_status),
            Ending::Failed(_) => self.status.unwrap_or(Code::Unknown),
            // The caller, or the server for it, gave up. Only the time tells which of the two statuses it is.
            Ending::Abandoned if self.deadline.is_some_and(|deadline| self.started.elapsed() >= deadline) => {
                Code::DeadlineExceeded
            }
            Ending::Abandoned => Code::Cancelled,
        }
    }
}

fn peer<B>(request: &Request<B>) -> Option<SocketAddr> {
    let extensions = request.extensions();
    match extensions.get::<TcpConnectInfo>() {
        Some(info) => info.remote_addr(),
        None => extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer),
    }
}

impl Call for ServerCall {
    fn context(&self) -> &Context {
        &self.span.context
    }

    fn end(self, ending: Ending) {
        let code = self.outcome(&ending);
        let status = status::code_name(code);
        let failure = match ending {
            Ending::Failed(error) => Some(error),
            _ => status::is_server_error(code).then(|| status.into()),
        };
        let (method, original): (StringValue, Option<KeyValue>) = match self.method {
            Method::Known(method) => (method.into(), None),
            Method::Unknown(original) => {
                (OTHER_METHOD.into(), Some(KeyValue::new(RPC_METHOD_ORIGINAL, original)))
            }
        };
        let seconds = self.started.elapsed().as_secs_f64();
        self.instruments.record(seconds, method.clone(), &[], status, failure.clone());

        // The method comes only now, because attributes of one name add up and until now it could be unknown.
        let attributes = [KeyValue::new(RPC_METHOD, method), KeyValue::new(RPC_RESPONSE_STATUS_CODE, status)];
        self.span.end(attributes.into_iter().chain(original), failure);
    }
}

impl Exchange for ServerCall {
    fn head(&mut self, head: &response::Parts) -> bool {
        self.status = status::in_headers(&head.headers);
        self.without_status = status::of_http(head.status);
        if self.status == Some(Code::Unimplemented)
            && !head.headers.contains_key(tonic::Status::GRPC_MESSAGE)
            && let Method::Known(method) = &self.method
        {
            self.span.context.span().update_name(GRPC);
            self.method = Method::Unknown(method.clone());
        }
        false
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.status = status::in_headers(trailers).or(self.status);
    }
}

#[cfg(test)]
mod tests;
