//! The server side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath};
use http::{HeaderMap, Method, Request, Response, StatusCode, header, response};
use opentelemetry::metrics::{Histogram, UpDownCounter};
use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
    NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT, NETWORK_PROTOCOL_VERSION, URL_PATH, URL_QUERY, URL_SCHEME,
    USER_AGENT_ORIGINAL,
};
use opentelemetry_semantic_conventions::metric::{HTTP_SERVER_ACTIVE_REQUESTS, HTTP_SERVER_REQUEST_DURATION};
use tower::{Layer, Service};

use super::attributes::{
    Authority, OTHER_METHOD, known_method, method_in_name, method_original, redacted_query, version,
};
use crate::call::{Call, Ending, Exchange, InFlight};
use crate::error_type::{CANCELLED, ErrorType};
use crate::propagation::HeaderExtractor;
use crate::response::{ResponseBody, ResponseFuture};
use crate::scope::{CALL_BUCKETS, Scope};
use crate::span::CallSpan;
use crate::text;

/// A span and the metrics `http.server.request.duration` and `http.server.active_requests` for every request.
///
/// For axum, add it last with [`axum::Router::layer`]: it then sees every request, refused ones included, and the
/// route that matched.
#[must_use]
pub fn server_layer() -> ServerLayer {
    ServerLayer::of(Scope::global())
}

/// See [`server_layer`].
#[derive(Debug, Clone)]
pub struct ServerLayer(Arc<Instruments>);

impl ServerLayer {
    pub(crate) fn of(scope: Scope) -> Self {
        Self(Arc::new(Instruments {
            duration: scope.duration(
                HTTP_SERVER_REQUEST_DURATION,
                "Duration of HTTP server requests.",
                &CALL_BUCKETS,
            ),
            active: scope
                .meter
                .i64_up_down_counter(HTTP_SERVER_ACTIVE_REQUESTS)
                .with_unit("{request}")
                .with_description("Number of active HTTP server requests.")
                .build(),
            scope,
        }))
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerService { inner, instruments: self.0.clone() }
    }
}

/// Made once a layer; what every request shares.
#[derive(Debug)]
struct Instruments {
    scope: Scope,
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
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

/// One request being served.
#[derive(Debug)]
pub struct ServerCall {
    instruments: Arc<Instruments>,
    span: CallSpan,
    started: Instant,
    method: &'static str,
    scheme: &'static str,
    version: Option<&'static str>,
    route: Option<Arc<str>>,
    to_head: bool,
    status: Option<StatusCode>,
}

impl ServerCall {
    fn start<B>(instruments: Arc<Instruments>, request: &Request<B>) -> Self {
        let started = Instant::now();
        let method = known_method(request.method()).unwrap_or(OTHER_METHOD);
        // Not from X-Forwarded-*: anyone can send those, and only the operator knows which proxy to believe.
        let scheme = if request.uri().scheme_str() == Some("https") { "https" } else { "http" };
        let version = version(request.version());
        let route = request.extensions().get::<MatchedPath>().map(|path| Arc::from(path.as_str()));

        instruments.active.add(1, &active_attributes(method, scheme));
        let parent = global::get_text_map_propagator(|propagator| {
            propagator.extract(&HeaderExtractor::new(request.headers()))
        });
        let builder = SpanBuilder {
            attributes: Some(start_attributes(request, method, scheme, route.as_ref())),
            ..SpanBuilder::from_name(match &route {
                Some(route) => format!("{} {route}", method_in_name(method)).into(),
                None => std::borrow::Cow::Borrowed(method_in_name(method)),
            })
            .with_kind(SpanKind::Server)
        };
        let span = CallSpan::start(&instruments.scope, builder, &parent);
        let to_head = request.method() == Method::HEAD;
        Self { instruments, span, started, method, scheme, version, route, to_head, status: None }
    }
}

/// What a sampler may want to decide by.
fn start_attributes<B>(
    request: &Request<B>,
    method: &'static str,
    scheme: &'static str,
    route: Option<&Arc<str>>,
) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(16);
    attributes.push(KeyValue::new(HTTP_REQUEST_METHOD, method));
    attributes.push(KeyValue::new(URL_SCHEME, scheme));
    attributes.push(KeyValue::new(URL_PATH, text::bounded(request.uri().path()).to_owned()));
    attributes.extend(request.uri().query().map(|query| KeyValue::new(URL_QUERY, redacted_query(query))));
    attributes.extend(route.map(|route| KeyValue::new(HTTP_ROUTE, route.clone())));
    attributes.extend(method_original(request.method()));
    attributes.extend(Authority::of_request(request).into_iter().flat_map(Authority::attributes));
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        attributes.extend(peer_attributes(*peer));
    }
    if let Some(agent) = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()) {
        attributes.push(KeyValue::new(USER_AGENT_ORIGINAL, text::bounded(agent).to_owned()));
    }
    attributes
}

/// The other end of the connection, which is the client as far as we can know without believing a header.
pub(crate) fn peer_attributes(peer: SocketAddr) -> [KeyValue; 3] {
    let address: Arc<str> = peer.ip().to_string().into();
    [
        KeyValue::new(CLIENT_ADDRESS, address.clone()),
        KeyValue::new(NETWORK_PEER_ADDRESS, address),
        KeyValue::new(NETWORK_PEER_PORT, i64::from(peer.port())),
    ]
}

fn active_attributes(method: &'static str, scheme: &'static str) -> [KeyValue; 2] {
    [KeyValue::new(HTTP_REQUEST_METHOD, method), KeyValue::new(URL_SCHEME, scheme)]
}

impl Call for ServerCall {
    fn context(&self) -> &Context {
        &self.span.context
    }

    fn end(self, ending: Ending) {
        let failure: Option<ErrorType> = match ending {
            Ending::Failed(error) => Some(error),
            Ending::Abandoned => Some(CANCELLED),
            Ending::Complete => self
                .status
                .filter(StatusCode::is_server_error)
                .map(|status| status.as_str().to_owned().into()),
        };
        let status =
            self.status.map(|status| KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
        let version = self.version.map(|version| KeyValue::new(NETWORK_PROTOCOL_VERSION, version));

        let mut attributes = Vec::with_capacity(6);
        attributes.extend(active_attributes(self.method, self.scheme));
        attributes.extend(self.route.map(|route| KeyValue::new(HTTP_ROUTE, route)));
        attributes.extend(status.clone());
        attributes.extend(version.clone());
        attributes.extend(failure.clone().map(|error| KeyValue::new(ERROR_TYPE, error)));
        self.instruments.duration.record(self.started.elapsed().as_secs_f64(), &attributes);
        self.instruments.active.add(-1, &attributes[..2]);

        self.span.end(status.into_iter().chain(version), failure);
    }
}

impl Exchange for ServerCall {
    fn head(&mut self, head: &response::Parts) -> bool {
        self.status = Some(head.status);
        self.to_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    fn trailers(&mut self, _trailers: &HeaderMap) {}
}

#[cfg(test)]
mod tests;
