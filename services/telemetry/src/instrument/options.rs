//! The options of the server layers for HTTP and gRPC.
//!
//! A layer without options holds `None`. It then only checks for `None` and allocates nothing more. The functions that run
//! for each request of a layer with options are not inlined, so they do not enlarge the code of the other layers.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use http::{Extensions, HeaderMap, Method, Request, Uri, Version, response};
use ipnet::IpNet;
use opentelemetry::{Array, Key, KeyValue, StringValue, Value};

use crate::instrument::layer::CallLayer;
use crate::instrument::proxies::{self, Origin};
use crate::instrument::span::CallSpan;
use crate::settings::TrustedProxies;
use crate::text::{self, REDACTED};

/// The maximum number of values of one header that a span records. A client chooses how often it sends a header.
const MAX_HEADER_VALUES: usize = 16;

/// The headers whose values are credentials. Their values are never recorded.
const SECRET_HEADERS: [HeaderName; 4] =
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::SET_COOKIE];

/// The head of a request: everything except the body.
///
/// ```
/// use sightline_telemetry::http::RequestHead;
///
/// let request = http::Request::get("/health").body(())?;
/// assert_eq!(RequestHead::from(&request).uri().path(), "/health");
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    version: Version,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a, B> From<&'a Request<B>> for RequestHead<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl<'a> RequestHead<'a> {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The URI. For gRPC, the path is `/package.Service/Method`.
    #[must_use]
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// The HTTP version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The headers. For gRPC, they contain the metadata.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The extensions, which contain for example the route that axum has matched.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }
}

type Filter = Arc<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>;
type FromRequest = Arc<dyn Fn(&RequestHead<'_>) -> Vec<KeyValue> + Send + Sync>;
type FromResponse = Arc<dyn Fn(&response::Parts) -> Vec<KeyValue> + Send + Sync>;

/// The names that the semantic conventions define for a protocol.
#[derive(Debug)]
pub struct Convention {
    /// The attribute of a request header, without the name of the header.
    pub(crate) request_header: &'static str,
    /// The attribute of a response header, without the name of the header.
    pub(crate) response_header: &'static str,
    /// The attributes that the layer sets itself.
    pub(crate) own: &'static [&'static str],
}

/// A server layer with options.
pub trait ServerKind {
    /// The names that the layer uses.
    const CONVENTION: &'static Convention;

    /// The options of the layer. `None` means that there are none.
    fn options_mut(&mut self) -> &mut Option<Arc<ServerOptions>>;
}

/// The options of one layer.
#[derive(Clone)]
pub struct ServerOptions {
    convention: &'static Convention,
    filter: Option<Filter>,
    request: Option<FromRequest>,
    response: Option<FromResponse>,
    metric_request: Option<FromRequest>,
    metric_response: Option<FromResponse>,
    request_headers: Vec<CapturedHeader>,
    response_headers: Vec<CapturedHeader>,
    trusted_proxies: TrustedProxies,
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("request_headers", &self.request_headers)
            .field("response_headers", &self.response_headers)
            .field("trusted_proxies", &self.trusted_proxies)
            .finish_non_exhaustive()
    }
}

impl ServerOptions {
    fn new(convention: &'static Convention) -> Self {
        Self {
            convention,
            filter: None,
            request: None,
            response: None,
            metric_request: None,
            metric_response: None,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            trusted_proxies: TrustedProxies::default(),
        }
    }

    /// The options of a new layer, from the settings.
    pub(crate) fn of_settings(
        convention: &'static Convention,
        proxies: &TrustedProxies,
    ) -> Option<Arc<Self>> {
        (!proxies.is_empty())
            .then(|| Arc::new(Self { trusted_proxies: proxies.clone(), ..Self::new(convention) }))
    }

    /// Whether the layer records the request.
    #[inline(never)]
    pub(crate) fn records<B>(&self, request: &Request<B>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter(&request.into()))
    }

    /// What the trusted proxies report about the request.
    #[inline(never)]
    pub(crate) fn origin<'a>(&self, headers: &'a HeaderMap, peer: Option<SocketAddr>) -> Option<Origin<'a>> {
        proxies::origin(headers, peer?.ip(), &self.trusted_proxies)
    }

    /// Adds the `new` attributes to `attributes`. Leaves out attributes that the layer sets itself, and all but the
    /// first with the same key, because neither a span nor a metric may have an attribute twice.
    fn add(&self, attributes: &mut Vec<KeyValue>, set: &[Key], new: impl IntoIterator<Item = KeyValue>) {
        for attribute in new {
            let key = &attribute.key;
            let known = self.convention.own.contains(&key.as_str())
                || set.contains(key)
                || attributes.iter().any(|other| other.key == *key);
            if !known {
                attributes.push(attribute);
            }
        }
    }
}

/// The options of one layer, for one call.
#[derive(Debug)]
pub(crate) struct CallOptions {
    options: Arc<ServerOptions>,
    // The keys of the attributes on the span that come from the options.
    set: Vec<Key>,
    metric_attributes: Vec<KeyValue>,
}

impl CallOptions {
    /// Adds the request's attributes to `attributes`, with which the span starts.
    #[inline(never)]
    pub(crate) fn start<B>(
        options: &Arc<ServerOptions>,
        request: &Request<B>,
        attributes: &mut Vec<KeyValue>,
    ) -> Self {
        let head = RequestHead::from(request);
        let first = attributes.len();
        options.add(attributes, &[], captured(&options.request_headers, head.headers));
        options.add(attributes, &[], options.request.iter().flat_map(|read| read(&head)));
        let set = attributes[first..].iter().map(|attribute| attribute.key.clone()).collect();
        let mut metric_attributes = Vec::new();
        options.add(&mut metric_attributes, &[], options.metric_request.iter().flat_map(|read| read(&head)));
        Self { options: options.clone(), set, metric_attributes }
    }

    /// Adds the response's attributes to the span and to the attributes of the metric.
    #[inline(never)]
    pub(crate) fn on_head(&mut self, span: &CallSpan, head: &response::Parts) {
        let options = self.options.clone();
        if span.is_recording() {
            let mut attributes = Vec::new();
            options.add(&mut attributes, &self.set, captured(&options.response_headers, &head.headers));
            options.add(&mut attributes, &self.set, options.response.iter().flat_map(|read| read(head)));
            self.set_on(span, attributes);
        }
        let from_response = options.metric_response.iter().flat_map(|read| read(head));
        options.add(&mut self.metric_attributes, &[], from_response);
    }

    /// Adds the captured metadata from the trailers of a gRPC response to the span.
    #[inline(never)]
    pub(crate) fn on_trailers(&mut self, span: &CallSpan, trailers: &HeaderMap) {
        if span.is_recording() && !self.options.response_headers.is_empty() {
            let mut attributes = Vec::new();
            self.options.add(&mut attributes, &self.set, captured(&self.options.response_headers, trailers));
            self.set_on(span, attributes);
        }
    }

    fn set_on(&mut self, span: &CallSpan, attributes: Vec<KeyValue>) {
        self.set.extend(attributes.iter().map(|attribute| attribute.key.clone()));
        span.set_attributes(attributes);
    }

    /// The additional attributes of the metric.
    pub(crate) fn metric_attributes(&self) -> &[KeyValue] {
        &self.metric_attributes
    }
}

/// A header that a span records, and the key of its attribute.
#[derive(Debug, Clone)]
struct CapturedHeader {
    name: HeaderName,
    key: Key,
}

impl CapturedHeader {
    fn list(prefix: &str, names: impl IntoIterator<Item = HeaderName>) -> Vec<Self> {
        // `Arc<str>` makes copies of the key cheap.
        let key = |name: &HeaderName| Key::from(Arc::<str>::from(format!("{prefix}.{name}")));
        names.into_iter().map(|name| Self { key: key(&name), name }).collect()
    }
}

/// The attributes for those of the `headers` that are captured.
fn captured(headers: &[CapturedHeader], map: &HeaderMap) -> impl Iterator<Item = KeyValue> {
    headers.iter().filter(|header| map.contains_key(&header.name)).map(|header| {
        let secret = SECRET_HEADERS.contains(&header.name);
        let value = |value: &HeaderValue| -> StringValue {
            if secret || value.is_sensitive() {
                return REDACTED.into();
            }
            text::bounded(&String::from_utf8_lossy(value.as_bytes())).to_owned().into()
        };
        let values = map.get_all(&header.name).iter().take(MAX_HEADER_VALUES).map(value).collect();
        KeyValue::new(header.key.clone(), Value::Array(Array::String(values)))
    })
}

/// Options of [`http::server_layer`](crate::http::server_layer) and [`grpc::server_layer`](crate::grpc::server_layer).
///
/// An option does not change the type of the layer. A second call of the same method replaces the value of the first.
impl<K: ServerKind> CallLayer<K> {
    fn set(mut self, set: impl FnOnce(&mut ServerOptions)) -> Self {
        let options = self.0.options_mut().get_or_insert_with(|| Arc::new(ServerOptions::new(K::CONVENTION)));
        set(Arc::make_mut(options));
        self
    }

    /// Records only the requests for which `filter` returns `true`. By default, every request is recorded.
    ///
    /// A request that is not recorded has no span, no metrics and no header `traceresponse`. Its handler runs in the
    /// context of the caller. So the spans that the handler creates still belong to the caller's trace. If the request
    /// carries no context, each of them starts a trace of its own.
    ///
    /// A service with an admin port does not need a filter for health checks, because the admin port is not recorded.
    ///
    /// ```
    /// use sightline_telemetry::{grpc, http};
    ///
    /// let layer = http::server_layer().filter(|request| request.uri().path() != "/health");
    /// let layer = grpc::server_layer().filter(|call| !call.uri().path().starts_with("/grpc.health.v1.Health/"));
    /// ```
    #[must_use]
    pub fn filter(self, filter: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.set(|options| options.filter = Some(Arc::new(filter)))
    }

    /// Adds the attributes that `read` returns to the span of each request. They are set when the span starts, so a
    /// sampler can use them.
    ///
    /// An attribute that the layer sets itself, such as `http.route`, is left out. If `read` returns a key twice, the
    /// first attribute counts. The values are not shortened, so limit values that a client chooses.
    ///
    /// ```
    /// use opentelemetry::KeyValue;
    /// use sightline_telemetry::http;
    ///
    /// let layer = http::server_layer()
    ///     .request_attributes(|request| [KeyValue::new("shop.mobile", request.uri().path().starts_with("/m/"))]);
    /// ```
    #[must_use]
    pub fn request_attributes<I: IntoIterator<Item = KeyValue>>(
        self,
        read: impl Fn(&RequestHead<'_>) -> I + Send + Sync + 'static,
    ) -> Self {
        self.set(|options| options.request = Some(Arc::new(move |head| read(head).into_iter().collect())))
    }

    /// Adds the attributes that `read` returns to the span of each response.
    ///
    /// `read` is called when the handler returns the head of the response, and only if the span is recorded. The rules
    /// of [`request_attributes`](Self::request_attributes) apply.
    ///
    /// ```
    /// use opentelemetry::KeyValue;
    /// use sightline_telemetry::http;
    ///
    /// #[derive(Clone)]
    /// struct FromCache;
    ///
    /// // A handler adds `FromCache` to the extensions of its response.
    /// let layer = http::server_layer().response_attributes(|response| {
    ///     response.extensions.get::<FromCache>().map(|_| KeyValue::new("shop.cache.hit", true))
    /// });
    /// ```
    #[must_use]
    pub fn response_attributes<I: IntoIterator<Item = KeyValue>>(
        self,
        read: impl Fn(&response::Parts) -> I + Send + Sync + 'static,
    ) -> Self {
        self.set(|options| options.response = Some(Arc::new(move |head| read(head).into_iter().collect())))
    }

    /// Adds the attributes that `read` returns to the metric of each request's duration.
    ///
    /// **Every combination of values is a time series of its own, in this process and in the metrics store.** Return
    /// only values from a small fixed set, never a value that a client chooses. The attributes are not added to the
    /// span, and `http.server.active_requests` does not have them.
    ///
    /// ```
    /// use opentelemetry::KeyValue;
    /// use sightline_telemetry::http;
    ///
    /// let layer = http::server_layer().request_metric_attributes(|request| {
    ///     let api = if request.uri().path().starts_with("/v2/") { "v2" } else { "v1" };
    ///     [KeyValue::new("shop.api", api)]
    /// });
    /// ```
    #[must_use]
    pub fn request_metric_attributes<I: IntoIterator<Item = KeyValue>>(
        self,
        read: impl Fn(&RequestHead<'_>) -> I + Send + Sync + 'static,
    ) -> Self {
        self.set(|options| {
            options.metric_request = Some(Arc::new(move |head| read(head).into_iter().collect()));
        })
    }

    /// Like [`request_metric_attributes`](Self::request_metric_attributes), but with the head of the response.
    ///
    /// A request that has no response, because it was cancelled for example, does not have these attributes.
    ///
    /// ```
    /// use opentelemetry::KeyValue;
    /// use sightline_telemetry::http;
    ///
    /// let layer = http::server_layer().response_metric_attributes(|response| {
    ///     [KeyValue::new("shop.cache.hit", response.headers.contains_key("age"))]
    /// });
    /// ```
    #[must_use]
    pub fn response_metric_attributes<I: IntoIterator<Item = KeyValue>>(
        self,
        read: impl Fn(&response::Parts) -> I + Send + Sync + 'static,
    ) -> Self {
        self.set(|options| {
            options.metric_response = Some(Arc::new(move |head| read(head).into_iter().collect()));
        })
    }

    /// Records these headers of each request on its span: as [`http.request.header.<key>`], or as
    /// [`rpc.request.metadata.<key>`] for gRPC.
    ///
    /// The attribute is a list of strings, one for each occurrence of the header. It has at most 16 strings, and each of
    /// them has at most 1024 bytes. The values of `Authorization`, `Proxy-Authorization`, `Cookie` and `Set-Cookie` are
    /// recorded as `REDACTED`, as are values that are [marked as sensitive](http::HeaderValue::set_sensitive). Other
    /// headers can also contain secrets, such as API keys. Do not capture them.
    ///
    /// No environment variable lists headers, because the semantic conventions define none.
    ///
    /// ```
    /// use http::{HeaderName, header};
    /// use sightline_telemetry::{grpc, http as instrumented};
    ///
    /// let layer = instrumented::server_layer()
    ///     .capture_request_headers([header::ACCEPT, HeaderName::from_static("x-request-id")])
    ///     .capture_response_headers([header::CONTENT_TYPE]);
    /// let layer = grpc::server_layer().capture_request_headers([HeaderName::from_static("x-tenant")]);
    /// ```
    ///
    /// [`http.request.header.<key>`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/#http-request-header
    /// [`rpc.request.metadata.<key>`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/rpc/#rpc-request-metadata
    #[must_use]
    pub fn capture_request_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let headers = CapturedHeader::list(K::CONVENTION.request_header, names);
        self.set(|options| options.request_headers = headers)
    }

    /// Records these headers of each response on its span: as [`http.response.header.<key>`], or as
    /// [`rpc.response.metadata.<key>`] for gRPC. For gRPC, the metadata in the trailers count too.
    ///
    /// The limits of [`capture_request_headers`](Self::capture_request_headers) apply. Its example shows both methods.
    ///
    /// [`http.response.header.<key>`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/#http-response-header
    /// [`rpc.response.metadata.<key>`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/rpc/#rpc-response-metadata
    #[must_use]
    pub fn capture_response_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let headers = CapturedHeader::list(K::CONVENTION.response_header, names);
        self.set(|options| options.response_headers = headers)
    }

    /// Takes `client.address`, `url.scheme`, `server.address` and `server.port` from the headers that proxies in these
    /// networks set. The default is the value of `SIGHTLINE_TRUSTED_PROXIES`. An empty list trusts no proxy.
    ///
    /// The headers are `Forwarded` ([RFC 7239]), or else `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    /// They are read only if the peer of the connection is in one of the networks, so serve an axum router with
    /// [`axum::Router::into_make_service_with_connect_info`]. The client is the rightmost address that is not in one of
    /// the networks. Everything to the left of it is ignored, because the client can have written it. An entry that is
    /// malformed, `unknown` or obfuscated ends the search, and the proxy that wrote it then counts as the client. If
    /// `Forwarded` and `X-Forwarded-For` name different clients, neither is believed.
    ///
    /// **List only proxies that extend or overwrite these headers.** A proxy that forwards them unchanged lets a client
    /// choose its address.
    ///
    /// ```
    /// let layer = sightline_telemetry::http::server_layer()
    ///     .trusted_proxies(["10.0.0.0/8".parse()?, "2001:db8:1::/48".parse()?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [RFC 7239]: https://www.rfc-editor.org/rfc/rfc7239
    #[must_use]
    pub fn trusted_proxies(self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        let proxies = networks.into_iter().collect();
        self.set(|options| options.trusted_proxies = proxies)
    }
}
