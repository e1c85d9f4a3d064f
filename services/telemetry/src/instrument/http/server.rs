//! The server layer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath};
use http::{Method, Request, StatusCode, header, response};
use opentelemetry::metrics::{Histogram, UpDownCounter};
use opentelemetry::trace::{SpanBuilder, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, ERROR_TYPE, HTTP_REQUEST_HEADER, HTTP_REQUEST_METHOD, HTTP_REQUEST_METHOD_ORIGINAL,
    HTTP_RESPONSE_HEADER, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT,
    NETWORK_PROTOCOL_VERSION, SERVER_ADDRESS, SERVER_PORT, URL_PATH, URL_QUERY, URL_SCHEME,
    USER_AGENT_ORIGINAL,
};
use opentelemetry_semantic_conventions::metric::{HTTP_SERVER_ACTIVE_REQUESTS, HTTP_SERVER_REQUEST_DURATION};

use super::attributes::{MethodName, redacted_query, version};
use super::trace_response;
use crate::context::propagation;
use crate::instrument::call::{Call, HttpCall, InFlight, Outcome};
use crate::instrument::error_type::{CANCELLED, ErrorType};
use crate::instrument::layer::{CallLayer, CallService, StartCall};
use crate::instrument::network::{Authority, peer_attributes};
use crate::instrument::options::{CallOptions, Convention, ServerKind, ServerOptions};
use crate::instrument::span::CallSpan;
use crate::signals::scope::{CALL_BUCKETS, Scope};
use crate::text;

/// A layer that records a span and the metrics `http.server.request.duration` and `http.server.active_requests` for
/// every request that a server receives.
///
/// Add this layer to an axum router last, with [`axum::Router::layer`]. It then sees the matched route and every
/// request, even if another layer or a fallback responds to the request. To record the attributes `client.address` and
/// `network.peer.*`, serve the router with [`axum::Router::into_make_service_with_connect_info`].
///
/// A response with a status of 500 or above is an error, as defined for the [status of HTTP spans]. The layer
/// implements the [HTTP server span] and the metrics for an [HTTP server].
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use std::net::SocketAddr;
///
/// # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
/// let app = Router::new()
///     .route("/users/{id}", get(|| async { "Ada" }))
///     .layer(sightline_telemetry::http::server_layer());
/// axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
/// # }
/// ```
///
/// [status of HTTP spans]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
/// [HTTP server span]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
/// [HTTP server]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#http-server
#[must_use]
pub fn server_layer() -> ServerLayer {
    ServerLayer::of(Scope::global())
}

/// The [`tower::Layer`] that [`server_layer`] returns.
pub type ServerLayer = CallLayer<HttpServer>;

/// A [`tower::Service`] `S` inside a [`ServerLayer`].
pub type ServerService<S> = CallService<S, HttpServer>;

impl ServerLayer {
    pub(crate) fn of(scope: Scope) -> Self {
        let options = ServerOptions::of_settings(HttpServer::CONVENTION, &scope.settings.trusted_proxies);
        let instruments = Instruments {
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
        };
        Self(HttpServer { instruments: Arc::new(instruments), trace_response: false, options })
    }

    /// Sets whether every response has the header `traceresponse`, which identifies the server span. The default is
    /// `false`.
    ///
    /// With this header, the caller knows the trace of every request, even of a successful one:
    ///
    /// ```text
    /// traceresponse: 00-4bf92f3577b34da6a3ce929d0e0e4736-d75597dee50b0cac-01
    /// ```
    ///
    /// The fields are the version `00`, the trace id, the id of the server span, and the flags. The flags are `01` if
    /// the span is sampled and `00` if not. If the handler has set the header, the layer keeps the handler's value. If
    /// telemetry is off, the layer does not add the header.
    ///
    /// ```
    /// let layer = sightline_telemetry::http::server_layer().trace_response(true);
    /// ```
    ///
    /// The [format] is from a draft of W3C Trace Context. No W3C recommendation includes the header, and the latest
    /// draft replaces the header with a [metric of `Server-Timing`] that has the same value. Enable the header only if
    /// every caller is allowed to know the trace id. A browser script can read the header in a response from another
    /// origin only if the response lists `traceresponse` in `Access-Control-Expose-Headers`.
    ///
    /// [metric of `Server-Timing`]: https://github.com/w3c/trace-context/pull/560
    /// [format]: https://github.com/w3c/trace-context/blob/0b83a231593a67ec024063280d77bc1842afaa37/spec/21-http_response_header_format.md
    #[must_use]
    pub fn trace_response(mut self, enabled: bool) -> Self {
        self.0.trace_response = enabled;
        self
    }
}

/// Starts a [`ServerCall`] for each request.
#[derive(Debug, Clone)]
pub struct HttpServer {
    instruments: Arc<Instruments>,
    trace_response: bool,
    // `None` for a layer without options, so that such a layer is as fast as if there were no options
    options: Option<Arc<ServerOptions>>,
}

impl ServerKind for HttpServer {
    const CONVENTION: &'static Convention = &Convention {
        request_header: HTTP_REQUEST_HEADER,
        response_header: HTTP_RESPONSE_HEADER,
        own: &[
            CLIENT_ADDRESS,
            ERROR_TYPE,
            HTTP_REQUEST_METHOD,
            HTTP_REQUEST_METHOD_ORIGINAL,
            HTTP_RESPONSE_STATUS_CODE,
            HTTP_ROUTE,
            NETWORK_PEER_ADDRESS,
            NETWORK_PEER_PORT,
            NETWORK_PROTOCOL_VERSION,
            SERVER_ADDRESS,
            SERVER_PORT,
            URL_PATH,
            URL_QUERY,
            URL_SCHEME,
            USER_AGENT_ORIGINAL,
        ],
    };

    fn options_mut(&mut self) -> &mut Option<Arc<ServerOptions>> {
        &mut self.options
    }
}

/// The metric instruments of one layer.
#[derive(Debug)]
struct Instruments {
    scope: Scope,
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
}

impl StartCall for HttpServer {
    type Call = ServerCall;

    fn start_call<B>(&self, request: &mut Request<B>) -> InFlight<ServerCall> {
        if self.options.as_ref().is_some_and(|options| !options.records(request)) {
            return InFlight::unrecorded(propagation::extract(request.headers()));
        }
        InFlight::new(ServerCall::start(self.clone(), request))
    }
}

/// A request that the server is handling.
#[derive(Debug)]
pub struct ServerCall {
    server: HttpServer,
    span: CallSpan,
    started: Instant,
    method: MethodName,
    scheme: &'static str,
    version: Option<&'static str>,
    route: Option<Arc<str>>,
    is_head: bool,
    status: Option<StatusCode>,
    options: Option<Box<CallOptions>>,
}

impl ServerCall {
    fn start<B>(server: HttpServer, request: &Request<B>) -> Self {
        let started = Instant::now();
        let method = MethodName::of(request.method(), &server.instruments.scope.settings.known_methods);
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        // Without trusted proxies, the headers `Forwarded` and `X-Forwarded-*` are ignored: any client can send them.
        let origin = server.options.as_ref().and_then(|options| options.origin(request.headers(), peer));
        let scheme = origin
            .and_then(|origin| origin.scheme)
            .unwrap_or_else(|| if request.uri().scheme_str() == Some("https") { "https" } else { "http" });
        let version = version(request.version());
        let route = request.extensions().get::<MatchedPath>().map(|path| Arc::from(path.as_str()));
        let mut attributes = start_attributes(request, &method, scheme, route.as_ref());
        let authority = origin.and_then(|origin| origin.host).or_else(|| Authority::of_request(request));
        attributes.extend(authority.into_iter().flat_map(Authority::attributes));
        if let Some(peer) = peer {
            attributes.extend(peer_attributes(peer, origin.map(|origin| origin.client)));
        }
        let options = server
            .options
            .as_ref()
            .map(|options| Box::new(CallOptions::start(options, request, &mut attributes)));

        server.instruments.active.add(1, &active_attributes(&method, scheme));
        let parent = propagation::extract(request.headers());
        let builder = SpanBuilder {
            attributes: Some(attributes),
            ..SpanBuilder::from_name(method.span_name(route.as_deref())).with_kind(SpanKind::Server)
        };
        let span = CallSpan::start(&server.instruments.scope, builder, &parent);
        let is_head = request.method() == Method::HEAD;
        Self { server, span, started, method, scheme, version, route, is_head, status: None, options }
    }
}

/// The attributes that the request itself has. They are set when the span starts, so that a sampler can use them.
fn start_attributes<B>(
    request: &Request<B>,
    method: &MethodName,
    scheme: &'static str,
    route: Option<&Arc<str>>,
) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(16);
    attributes.push(KeyValue::new(HTTP_REQUEST_METHOD, method.value()));
    attributes.push(KeyValue::new(URL_SCHEME, scheme));
    attributes.push(KeyValue::new(URL_PATH, text::bounded(request.uri().path()).to_owned()));
    attributes.extend(request.uri().query().map(|query| KeyValue::new(URL_QUERY, redacted_query(query))));
    attributes.extend(route.map(|route| KeyValue::new(HTTP_ROUTE, route.clone())));
    attributes.extend(method.original(request.method()));
    if let Some(agent) = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()) {
        attributes.push(KeyValue::new(USER_AGENT_ORIGINAL, text::bounded(agent).to_owned()));
    }
    attributes
}

fn active_attributes(method: &MethodName, scheme: &'static str) -> [KeyValue; 2] {
    [KeyValue::new(HTTP_REQUEST_METHOD, method.value()), KeyValue::new(URL_SCHEME, scheme)]
}

impl Call for ServerCall {
    fn context(&self) -> &Context {
        &self.span.context
    }

    fn end(self, outcome: Outcome) {
        let failure: Option<ErrorType> = match outcome {
            Outcome::Failed(error) => Some(error),
            Outcome::Dropped => Some(CANCELLED),
            Outcome::Complete => self
                .status
                .filter(StatusCode::is_server_error)
                .map(|status| status.as_str().to_owned().into()),
        };
        let status =
            self.status.map(|status| KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
        let version = self.version.map(|version| KeyValue::new(NETWORK_PROTOCOL_VERSION, version));

        let mut attributes = Vec::with_capacity(6);
        attributes.extend(active_attributes(&self.method, self.scheme));
        attributes.extend(self.route.map(|route| KeyValue::new(HTTP_ROUTE, route)));
        attributes.extend(status.clone());
        attributes.extend(version.clone());
        attributes.extend(failure.clone().map(|error| KeyValue::new(ERROR_TYPE, error)));
        if let Some(options) = &self.options {
            attributes.extend_from_slice(options.metric_attributes());
        }
        self.server.instruments.duration.record(self.started.elapsed().as_secs_f64(), &attributes);
        self.server.instruments.active.add(-1, &attributes[..2]);

        self.span.end(status.into_iter().chain(version), failure);
    }
}

impl HttpCall for ServerCall {
    fn on_head(&mut self, head: &mut response::Parts) -> bool {
        self.status = Some(head.status);
        if let Some(options) = &mut self.options {
            options.on_head(&self.span, head);
        }
        if self.server.trace_response {
            trace_response::add(&mut head.headers, self.span.context.span().span_context());
        }
        self.is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}

#[cfg(test)]
mod tests;
