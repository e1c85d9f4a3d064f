//! The client side: a tower layer for `http` requests, and a wrapper around reqwest, which has request types of its
//! own. Both measure through [`ClientCall`].

use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Instant;

use http::{HeaderMap, Method, Request, Response, StatusCode, Version, response};
use opentelemetry::metrics::Histogram;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, NETWORK_PROTOCOL_VERSION, URL_FULL,
    URL_TEMPLATE,
};
use opentelemetry_semantic_conventions::metric::HTTP_CLIENT_REQUEST_DURATION;
use reqwest::ResponseBuilderExt as _;
use tower::{Layer, Service};

use super::attributes::{
    Authority, OTHER_METHOD, Target, known_method, method_in_name, method_original, version,
};
use crate::call::{Call, Ending, Exchange, InFlight};
use crate::error_type::{CANCELLED, ErrorType};
use crate::propagation::HeaderInjector;
use crate::response::{ResponseBody, ResponseFuture};
use crate::scope::{CALL_BUCKETS, Scope};
use crate::span::CallSpan;

/// A span and the metric `http.client.request.duration` for every request, which carries the context on to the
/// server.
///
/// A response of 400 or above is an error, by the conventions. A request that carries a [`UrlTemplate`] among its
/// extensions is named by it.
#[must_use]
pub fn client_layer() -> ClientLayer {
    ClientLayer::of(Scope::global())
}

/// The path of a request with its variable parts left open, such as `/users/{id}`.
///
/// Put it among a request's extensions for [`client_layer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlTemplate(pub &'static str);

/// See [`client_layer`].
#[derive(Debug, Clone)]
pub struct ClientLayer(Arc<Instruments>);

impl ClientLayer {
    pub(crate) fn of(scope: Scope) -> Self {
        Self(Instruments::of(scope))
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientService { inner, instruments: self.0.clone() }
    }
}

/// Made once a layer; what every request shares.
#[derive(Debug)]
struct Instruments {
    scope: Scope,
    duration: Histogram<f64>,
}

impl Instruments {
    fn of(scope: Scope) -> Arc<Self> {
        let duration =
            scope.duration(HTTP_CLIENT_REQUEST_DURATION, "Duration of HTTP client requests.", &CALL_BUCKETS);
        Arc::new(Self { scope, duration })
    }
}

/// A service behind [`client_layer`].
#[derive(Debug, Clone)]
pub struct ClientService<S> {
    inner: S,
    instruments: Arc<Instruments>,
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
        let template = request.extensions().get::<UrlTemplate>().map(|template| template.0);
        let call =
            ClientCall::start(&self.instruments, request.method(), Target::of_uri(request.uri()), template);
        inject(&call, request.headers_mut());
        ResponseFuture::new(call, || self.inner.call(request))
    }
}

/// A [`reqwest::Client`] that measures what it does as [`client_layer`] does.
///
/// A redirect that reqwest follows, and a retry of its own, are part of the one call.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    instruments: Arc<Instruments>,
}

impl Client {
    /// Wraps `client`.
    #[must_use]
    pub fn new(client: reqwest::Client) -> Self {
        Self::of(client, Scope::global())
    }

    pub(crate) fn of(client: reqwest::Client, scope: Scope) -> Self {
        Self { inner: client, instruments: Instruments::of(scope) }
    }

    /// The client inside, to build requests with. A request it sends by itself is not measured.
    #[must_use]
    pub fn get_ref(&self) -> &reqwest::Client {
        &self.inner
    }

    /// Sends `request`. `template` is its path with the variable parts left open, such as `/users/{id}`; the span
    /// is named by it.
    ///
    /// Fails as [`reqwest::Client::execute`] does. The call ends when the response's body has been read, or dropped.
    pub async fn execute(
        &self,
        mut request: reqwest::Request,
        template: Option<&'static str>,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let call =
            ClientCall::start(&self.instruments, request.method(), Target::of_url(request.url()), template);
        inject(&call, request.headers_mut());
        let sent = ResponseFuture::new(call, || {
            let response = self.inner.execute(request);
            async move {
                let response = response.await?;
                // A response of the `http` crate has no place for the URL it came from but its extensions.
                let mut url = http::response::Builder::new().url(response.url().clone());
                let mut response = Response::from(response);
                if let Some(url) = url.extensions_mut() {
                    response.extensions_mut().extend(std::mem::take(url));
                }
                Ok::<_, reqwest::Error>(response)
            }
        });
        Ok(sent.await?.map(reqwest::Body::wrap).into())
    }
}

/// Hands the context of `call` to whoever receives `headers`.
pub(crate) fn inject<C: Call>(call: &InFlight<C>, headers: &mut HeaderMap) {
    if let Some(context) = call.context() {
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(context, &mut HeaderInjector::new(headers));
        });
    }
}

/// One request sent.
#[derive(Debug)]
pub struct ClientCall {
    instruments: Arc<Instruments>,
    span: CallSpan,
    started: Instant,
    // What span and metric have in common: method, template, server.
    attributes: Vec<KeyValue>,
    answer: Option<(StatusCode, Version)>,
    to_head: bool,
}

impl ClientCall {
    fn start(
        instruments: &Arc<Instruments>,
        method: &Method,
        target: Target<'_>,
        template: Option<&'static str>,
    ) -> InFlight<Self> {
        // An exporter whose client is instrumented must not report on itself.
        if Context::is_current_telemetry_suppressed() {
            return InFlight::unobserved();
        }
        let started = Instant::now();
        let known = known_method(method).unwrap_or(OTHER_METHOD);
        let mut attributes = Vec::with_capacity(8);
        attributes.push(KeyValue::new(HTTP_REQUEST_METHOD, known));
        attributes.extend(template.map(|template| KeyValue::new(URL_TEMPLATE, template)));
        attributes.extend(target.server().into_iter().flat_map(Authority::attributes));

        let mut at_start = Vec::with_capacity(12);
        at_start.extend_from_slice(&attributes);
        at_start.push(KeyValue::new(URL_FULL, target.full()));
        at_start.extend(method_original(method));
        let builder = SpanBuilder {
            attributes: Some(at_start),
            ..SpanBuilder::from_name(match template {
                Some(template) => format!("{} {template}", method_in_name(known)).into(),
                None => std::borrow::Cow::Borrowed(method_in_name(known)),
            })
            .with_kind(SpanKind::Client)
        };
        let span = CallSpan::start(&instruments.scope, builder, &Context::current());
        let to_head = method == Method::HEAD;
        InFlight::new(Self {
            instruments: instruments.clone(),
            span,
            started,
            attributes,
            answer: None,
            to_head,
        })
    }
}

impl Call for ClientCall {
    fn context(&self) -> &Context {
        &self.span.context
    }

    fn end(mut self, ending: Ending) {
        let failure: Option<ErrorType> = match (ending, self.answer) {
            (Ending::Failed(error), _) => Some(error),
            (Ending::Abandoned, None) => Some(CANCELLED),
            // Not to read a body is a client's good right, so an abandoned one says nothing.
            (_, Some((status, _))) if status.is_client_error() || status.is_server_error() => {
                Some(status.as_str().to_owned().into())
            }
            _ => None,
        };
        let common = self.attributes.len();
        if let Some((status, protocol)) = self.answer {
            self.attributes.push(KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
            self.attributes
                .extend(version(protocol).map(|version| KeyValue::new(NETWORK_PROTOCOL_VERSION, version)));
        }
        let learnt = self.attributes.len();
        self.attributes.extend(failure.clone().map(|error| KeyValue::new(ERROR_TYPE, error)));
        self.instruments.duration.record(self.started.elapsed().as_secs_f64(), &self.attributes);
        self.attributes.truncate(learnt);
        self.span.end(self.attributes.drain(common..), failure);
    }
}

impl Exchange for ClientCall {
    fn head(&mut self, head: &response::Parts) -> bool {
        self.answer = Some((head.status, head.version));
        self.to_head
    }

    fn trailers(&mut self, _trailers: &HeaderMap) {}
}

#[cfg(test)]
mod tests;
