//! The client side.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Instant;

use http::{HeaderMap, Request, Response, Uri, response};
use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_semantic_conventions::attribute::{RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME};
use opentelemetry_semantic_conventions::metric::RPC_CLIENT_CALL_DURATION;
use tonic::Code;
use tower::{Layer, Service};

use super::{GRPC, Instruments, OTHER_METHOD, method_of, status};
use crate::call::{Call, Ending, Exchange, InFlight};
use crate::error_type::ErrorType;
use crate::http::{Authority, inject};
use crate::response::{ResponseBody, ResponseFuture};
use crate::scope::Scope;
use crate::span::CallSpan;

/// A span and the metric `rpc.client.call.duration` for every call, which carries the context on to the server.
///
/// ```no_run
/// # async fn connect() -> Result<(), tonic::transport::Error> {
/// let endpoint = tonic::transport::Endpoint::from_static("http://inventory:8082");
/// let layer = telemetry::grpc::client_layer().target(endpoint.uri());
/// let channel = tower::ServiceBuilder::new().layer(layer).service(endpoint.connect_lazy());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn client_layer() -> ClientLayer {
    ClientLayer::of(Scope::global())
}

/// See [`client_layer`].
#[derive(Debug, Clone)]
pub struct ClientLayer {
    instruments: Arc<Instruments>,
    server: Arc<[KeyValue]>,
}

impl ClientLayer {
    pub(crate) fn of(scope: Scope) -> Self {
        let instruments =
            Instruments::of(scope, RPC_CLIENT_CALL_DURATION, "Measures the duration of an outgoing RPC.");
        Self { instruments, server: Arc::new([]) }
    }

    /// Says which server the channel goes to, for `server.address` and `server.port`. A request does not: the
    /// channel adds its own address to it, further in.
    #[must_use]
    pub fn target(mut self, server: &Uri) -> Self {
        let port = server.port_u16().or(match server.scheme_str() {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        });
        let authority = server.authority().and_then(|authority| Authority::parse(authority.as_str()));
        self.server = authority
            .into_iter()
            .flat_map(|Authority { host, .. }| Authority { host, port }.attributes())
            .collect();
        self
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientService { inner, layer: self.clone() }
    }
}

/// A service behind [`client_layer`].
#[derive(Debug, Clone)]
pub struct ClientService<S> {
    inner: S,
    layer: ClientLayer,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    R: http_body::Body,
{
    type Response = Response<ResponseBody<R, ClientCall>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ClientCall>;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = ClientCall::start(&self.layer, request.uri().path());
        inject(&call, request.headers_mut());
        ResponseFuture::new(call, || self.inner.call(request))
    }
}

/// One call made.
#[derive(Debug)]
pub struct ClientCall {
    layer: ClientLayer,
    span: CallSpan,
    started: Instant,
    method: StringValue,
    status: Option<Code>,
    without_status: Code,
}

impl ClientCall {
    fn start(layer: &ClientLayer, path: &str) -> InFlight<Self> {
        // An exporter whose channel is instrumented must not report on itself.
        if Context::is_current_telemetry_suppressed() {
            return InFlight::unobserved();
        }
        let started = Instant::now();
        // A client calls what its own program names, so a method of the right form counts as known.
        let (method, name): (StringValue, _) = match method_of(path) {
            Some(method) => (Arc::<str>::from(method).into(), Cow::Owned(method.to_owned())),
            None => (OTHER_METHOD.into(), Cow::Borrowed(GRPC)),
        };
        let mut attributes = Vec::with_capacity(8);
        attributes.push(KeyValue::new(RPC_SYSTEM_NAME, GRPC));
        attributes.push(KeyValue::new(RPC_METHOD, method.clone()));
        attributes.extend_from_slice(&layer.server);
        let builder = SpanBuilder {
            attributes: Some(attributes),
            ..SpanBuilder::from_name(name).with_kind(SpanKind::Client)
        };
        let span = CallSpan::start(&layer.instruments.scope, builder, &Context::current());
        let layer = layer.clone();
        InFlight::new(Self { layer, span, started, method, status: None, without_status: Code::Unknown })
    }
}

/// The status the caller gets to see of a call that failed without one: tonic's choice, so `CANCELLED` for a timeout
/// of the channel, whatever gRPC says.
fn of_failure(error: &ErrorType) -> Code {
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

    fn end(self, ending: Ending) {
        let code = match &ending {
            Ending::Complete => self.status.unwrap_or(self.without_status),
            // Letting go of a call, or of a stream before its trailers, is how a client cancels.
            Ending::Abandoned => self.status.unwrap_or(Code::Cancelled),
            Ending::Failed(error) => self.status.unwrap_or_else(|| of_failure(error)),
        };
        let status = status::code_name(code);
        let failure = match ending {
            Ending::Failed(error) => Some(error),
            _ => (code != Code::Ok).then(|| status.into()),
        };
        let seconds = self.started.elapsed().as_secs_f64();
        self.layer.instruments.record(seconds, self.method, &self.layer.server, status, failure.clone());
        self.span.end([KeyValue::new(RPC_RESPONSE_STATUS_CODE, status)], failure);
    }
}

impl Exchange for ClientCall {
    fn head(&mut self, head: &response::Parts) -> bool {
        self.status = status::in_headers(&head.headers);
        self.without_status = status::of_http(head.status);
        false
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.status = status::in_headers(trailers).or(self.status);
    }
}

#[cfg(test)]
mod tests;
