//! The client layer. It and [`Client`](super::Client) both use [`ClientCall`].

use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request, StatusCode, Version, response};
use opentelemetry::metrics::Histogram;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, NETWORK_PROTOCOL_VERSION, URL_FULL,
    URL_TEMPLATE,
};
use opentelemetry_semantic_conventions::metric::HTTP_CLIENT_REQUEST_DURATION;

use super::attributes::{MethodName, Target, version};
use crate::instrument::call::{Call, HttpCall, InFlight, Outcome};
use crate::instrument::error_type::{CANCELLED, ErrorType};
use crate::instrument::layer::{CallLayer, CallService, StartCall};
use crate::instrument::network::Authority;
use crate::instrument::span::CallSpan;
use crate::signals::scope::{CALL_BUCKETS, Scope};

/// A layer that records a span and the metric `http.client.request.duration` for every request to a server.
///
/// If the request's extensions contain a [`UrlTemplate`], the span's name is the method followed by the template.
/// Otherwise the name is only the method. A response with a status of 400 or above is an error, as defined for the
/// [status of HTTP spans]. The layer implements the [HTTP client span] and its [metric].
///
/// ```no_run
/// use sightline_telemetry::http::{UrlTemplate, client_layer};
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// # async fn send<S>(client: S) -> Result<(), S::Error>
/// # where S: Service<http::Request<String>, Response = http::Response<String>>, S::Error: 'static {
/// let mut client = ServiceBuilder::new().layer(client_layer()).service(client);
/// let mut request = http::Request::new(String::new());
/// *request.uri_mut() = http::Uri::from_static("http://users.example:8080/users/7");
/// request.extensions_mut().insert(UrlTemplate("/users/{id}"));
/// let response = client.ready().await?.call(request).await?;
/// # Ok(())
/// # }
/// ```
///
/// [status of HTTP spans]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
/// [HTTP client span]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span
/// [metric]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpclientrequestduration
#[must_use]
pub fn client_layer() -> ClientLayer {
    ClientLayer::of(Scope::global())
}

/// The [`tower::Layer`] that [`client_layer`] returns.
pub type ClientLayer = CallLayer<HttpClient>;

/// A [`tower::Service`] `S` inside a [`ClientLayer`].
pub type ClientService<S> = CallService<S, HttpClient>;

/// The value of the attribute [`url.template`]: the path of a request's URL with placeholders for the variable parts,
/// such as `/users/{id}`.
///
/// [`client_layer`] reads the template from the extensions of a request.
///
/// [`url.template`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/#url-template
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlTemplate(pub &'static str);

impl ClientLayer {
    pub(crate) fn of(scope: Scope) -> Self {
        Self(HttpClient::new(scope))
    }
}

/// Starts a [`ClientCall`] for each request.
#[derive(Debug, Clone)]
pub struct HttpClient(Arc<Instruments>);

/// The metric instruments of one layer.
#[derive(Debug)]
struct Instruments {
    scope: Scope,
    duration: Histogram<f64>,
}

impl HttpClient {
    pub(super) fn new(scope: Scope) -> Self {
        let duration =
            scope.duration(HTTP_CLIENT_REQUEST_DURATION, "Duration of HTTP client requests.", &CALL_BUCKETS);
        Self(Arc::new(Instruments { scope, duration }))
    }
}

impl StartCall for HttpClient {
    type Call = ClientCall;

    fn start_call<B>(&self, request: &mut Request<B>) -> InFlight<ClientCall> {
        let template = request.extensions().get::<UrlTemplate>().map(|template| template.0);
        let call = ClientCall::start(self, request.method(), Target::of_uri(request.uri()), template);
        call.inject(request.headers_mut());
        call
    }
}

/// A request to a server.
#[derive(Debug)]
pub struct ClientCall {
    client: HttpClient,
    span: CallSpan,
    started: Instant,
    // The attributes that the span and the metric share: method, template and server.
    attributes: Vec<KeyValue>,
    response: Option<(StatusCode, Version)>,
    is_head: bool,
}

impl ClientCall {
    pub(super) fn start(
        client: &HttpClient,
        method: &Method,
        target: Target<'_>,
        template: Option<&'static str>,
    ) -> InFlight<Self> {
        // An exporter can use an instrumented client. Its requests must not be recorded, because each recorded request
        // would cause another export.
        if Context::is_current_telemetry_suppressed() {
            return InFlight::untraced();
        }
        let started = Instant::now();
        let name = MethodName::of(method, &client.0.scope.settings.known_methods);
        let mut attributes = Vec::with_capacity(8);
        attributes.push(KeyValue::new(HTTP_REQUEST_METHOD, name.value()));
        attributes.extend(template.map(|template| KeyValue::new(URL_TEMPLATE, template)));
        attributes.extend(target.server().into_iter().flat_map(Authority::attributes));

        let mut at_start = Vec::with_capacity(12);
        at_start.extend_from_slice(&attributes);
        at_start.push(KeyValue::new(URL_FULL, target.full()));
        at_start.extend(name.original(method));
        let builder = SpanBuilder {
            attributes: Some(at_start),
            ..SpanBuilder::from_name(name.span_name(template)).with_kind(SpanKind::Client)
        };
        let client = client.clone();
        let span = CallSpan::start(&client.0.scope, builder, &Context::current());
        let is_head = method == Method::HEAD;
        InFlight::new(Self { client, span, started, attributes, response: None, is_head })
    }
}

impl Call for ClientCall {
    fn context(&self) -> &Context {
        &self.span.context
    }

    fn end(mut self, outcome: Outcome) {
        let failure: Option<ErrorType> = match (outcome, self.response) {
            (Outcome::Failed(error), _) => Some(error),
            (Outcome::Dropped, None) => Some(CANCELLED),
            // A client does not have to read the body, so dropping the body is not an error.
            (_, Some((status, _))) if status.is_client_error() || status.is_server_error() => {
                Some(status.as_str().to_owned().into())
            }
            _ => None,
        };
        let at_start = self.attributes.len();
        if let Some((status, protocol)) = self.response {
            self.attributes.push(KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
            self.attributes
                .extend(version(protocol).map(|version| KeyValue::new(NETWORK_PROTOCOL_VERSION, version)));
        }
        // Only the metric gets `error.type` here, because `CallSpan::end` sets `error.type` on the span.
        let without_error = self.attributes.len();
        self.attributes.extend(failure.clone().map(|error| KeyValue::new(ERROR_TYPE, error)));
        self.client.0.duration.record(self.started.elapsed().as_secs_f64(), &self.attributes);
        self.attributes.truncate(without_error);
        self.span.end(self.attributes.drain(at_start..), failure);
    }
}

impl HttpCall for ClientCall {
    fn on_head(&mut self, head: &mut response::Parts) -> bool {
        self.response = Some((head.status, head.version));
        self.is_head
    }
}

#[cfg(test)]
mod tests;
