//! The attributes of HTTP requests and responses.

use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, Version};
use opentelemetry::{KeyValue, StringValue};
use opentelemetry_semantic_conventions::attribute::HTTP_REQUEST_METHOD_ORIGINAL;

#[cfg(feature = "http-client")]
use crate::instrument::network::Authority;
use crate::settings::KnownMethods;
use crate::text::{self, REDACTED};

/// The query parameters that carry a credential or a signature, from the list in the [semantic conventions]. Their
/// names are case-sensitive.
///
/// [semantic conventions]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/#url-query
const SECRET_PARAMETERS: [&str; 5] =
    ["X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "sig", "X-Goog-Signature"];

/// The method of a request, as spans and metrics name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MethodName {
    /// A method of the default list. It needs no allocation and no reference count.
    Standard(&'static str),
    /// A method of the list in the settings.
    Listed(Arc<str>),
    /// A method that is not known. A client can invent methods, and each of them would otherwise become a new time
    /// series.
    Other,
}

impl MethodName {
    pub(super) fn of(method: &Method, known: &KnownMethods) -> Self {
        match known.listed() {
            None => standard_method(method).map_or(Self::Other, Self::Standard),
            Some(listed) => listed
                .iter()
                .find(|known| ***known == *method.as_str())
                .map_or(Self::Other, |known| Self::Listed(known.clone())),
        }
    }

    /// The value of `http.request.method`.
    pub(super) fn value(&self) -> StringValue {
        match self {
            Self::Standard(name) => (*name).into(),
            Self::Listed(name) => name.clone().into(),
            Self::Other => "_OTHER".into(),
        }
    }

    /// The attribute `http.request.method_original`, if its value differs from the value of `http.request.method`.
    pub(super) fn original(&self, method: &Method) -> Option<KeyValue> {
        (*self == Self::Other)
            .then(|| KeyValue::new(HTTP_REQUEST_METHOD_ORIGINAL, text::bounded(method.as_str()).to_owned()))
    }

    /// The name of a span: the method, followed by `target` if it is known.
    pub(super) fn span_name(&self, target: Option<&str>) -> Cow<'static, str> {
        let method = match self {
            Self::Standard(name) => Cow::Borrowed(*name),
            Self::Listed(name) => Cow::Owned(name.as_ref().to_owned()),
            Self::Other => Cow::Borrowed("HTTP"),
        };
        match target {
            Some(target) => format!("{method} {target}").into(),
            None => method,
        }
    }
}

/// The name of `method`, if the default list of [`KnownMethods`] contains it.
fn standard_method(method: &Method) -> Option<&'static str> {
    Some(match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        "QUERY" => "QUERY",
        _ => return None,
    })
}

/// The value of `network.protocol.version`.
pub(crate) fn version(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return None,
    })
}

/// Redacts the values of secret parameters in `query` and shortens the result to at most [`text::MAX`] bytes.
pub(super) fn redacted_query(query: &str) -> String {
    let redacted = if query.split('&').any(|pair| secret_parameter(pair).is_some()) {
        let pairs: Vec<Cow<'_, str>> = query
            .split('&')
            .map(|pair| match secret_parameter(pair) {
                Some(key) => Cow::Owned(format!("{key}={REDACTED}")),
                None => Cow::Borrowed(pair),
            })
            .collect();
        Cow::Owned(pairs.join("&"))
    } else {
        Cow::Borrowed(query)
    };
    text::bounded(&redacted).to_owned()
}

/// Returns the parameter's name if `pair` has the form `name=value` and the value is a secret.
fn secret_parameter(pair: &str) -> Option<&str> {
    let key = pair.split_once('=')?.0;
    SECRET_PARAMETERS.contains(&key).then_some(key)
}

/// The URL of an outgoing request. It can be created from the URL type of the `http` crate or of reqwest.
#[cfg(feature = "http-client")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    scheme: &'a str,
    authority: Option<Authority<'a>>,
    has_userinfo: bool,
    path: &'a str,
    query: Option<&'a str>,
}

#[cfg(feature = "http-client")]
impl<'a> Target<'a> {
    pub(super) fn of_uri(uri: &'a http::Uri) -> Self {
        let authority = uri.authority().map(http::uri::Authority::as_str);
        Self {
            scheme: uri.scheme_str().unwrap_or("http"),
            authority: authority.and_then(Authority::parse),
            has_userinfo: authority.is_some_and(|authority| authority.contains('@')),
            path: uri.path(),
            query: uri.query(),
        }
    }

    pub(super) fn of_url(url: &'a reqwest::Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        Self {
            scheme: url.scheme(),
            authority: Authority::parse(host).map(|authority| Authority { port: url.port(), ..authority }),
            has_userinfo: !url.username().is_empty() || url.password().is_some(),
            path: url.path(),
            query: url.query(),
        }
    }

    /// The host and port of the server. If the URL has no port, the port is the default port of the scheme.
    pub(super) fn server(&self) -> Option<Authority<'a>> {
        self.authority.map(|authority| Authority {
            port: authority.port.or(match self.scheme {
                "https" | "wss" => Some(443),
                "http" | "ws" => Some(80),
                _ => None,
            }),
            ..authority
        })
    }

    /// The value of `url.full`: the absolute URL without the fragment, with credentials and signatures redacted. The
    /// result is shortened to at most [`text::MAX`] bytes.
    pub(super) fn full(&self) -> String {
        let mut full = String::with_capacity(self.path.len() + 64);
        if let Some(Authority { host, port }) = self.authority {
            full.extend([self.scheme, "://"]);
            if self.has_userinfo {
                full.extend([REDACTED, ":", REDACTED, "@"]);
            }
            if host.contains(':') {
                full.extend(["[", host, "]"]);
            } else {
                full.push_str(host);
            }
            if let Some(port) = port {
                full.extend([":", &port.to_string()]);
            }
        }
        full.push_str(self.path);
        if let Some(query) = self.query {
            full.extend(["?", &redacted_query(query)]);
        }
        full.truncate(text::bounded(&full).len());
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[cfg(feature = "http-client")]
    #[test]
    fn redacts_the_secrets_of_a_url() {
        for (url, full) in [
            ("http://users:8080/users/1", "http://users:8080/users/1"),
            ("https://users/a?q=1", "https://users/a?q=1"),
            ("https://ada:secret@users/", "https://REDACTED:REDACTED@users/"),
            (
                "https://users/?sig=abc&q=1&X-Amz-Signature=x",
                "https://users/?sig=REDACTED&q=1&X-Amz-Signature=REDACTED",
            ),
            ("https://users/?SIG=abc&sig", "https://users/?SIG=abc&sig"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
        ] {
            assert_eq!(Target::of_uri(&url.parse().unwrap()).full(), full);
            assert_eq!(Target::of_url(&url.parse().unwrap()).full(), full);
        }
        let url = "https://users/callback#access_token=secret".parse().unwrap();
        assert_eq!(Target::of_url(&url).full(), "https://users/callback");
    }

    #[cfg(feature = "http-client")]
    #[test]
    fn a_target_without_a_port_has_the_default_port() {
        for (url, port) in [("http://users/", 80), ("https://users/", 443), ("https://users:8443/", 8443)] {
            assert_eq!(Target::of_uri(&url.parse().unwrap()).server().unwrap().port, Some(port));
            assert_eq!(Target::of_url(&url.parse().unwrap()).server().unwrap().port, Some(port));
        }
    }

    #[test]
    fn the_standard_methods_are_the_default_of_the_setting() {
        let known = KnownMethods::default();
        for method in
            ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"]
        {
            assert!(known.contains(method), "{method}");
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(MethodName::of(&method, &known).value().as_str(), method.as_str());
        }
        let documented = crate::settings::names::VARIABLES
            .iter()
            .find(|variable| variable.name == crate::settings::names::HTTP_KNOWN_METHODS)
            .unwrap();
        assert_eq!(documented.default.split(',').count(), 10, "the list above is incomplete");
        assert_eq!(MethodName::of(&Method::from_bytes(b"get").unwrap(), &known), MethodName::Other);
    }

    proptest! {
        #[test]
        fn redacts_and_shortens_any_query(query in "([a-z]{1,3}=[a-z&=é]{0,400}&)?sig=secret(&.{0,900})?") {
            let redacted = redacted_query(&query);
            prop_assert!(redacted.len() <= text::MAX);
            prop_assert!(!redacted.contains("sig=secret&"));
        }
    }
}
