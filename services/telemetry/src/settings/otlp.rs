//! The settings of each signal's OTLP exporter, from the `OTEL_EXPORTER_OTLP_*` variables.
//!
//! Source: [OpenTelemetry Protocol Exporter: Configuration Options].
//!
//! [OpenTelemetry Protocol Exporter: Configuration Options]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::compiled;
use super::env::{Env, SettingsError, flag, pairs};
use super::names::{self, defaults};
use super::read_millis;
use http::Uri;
use http::uri::PathAndQuery;

/// A kind of telemetry. Each signal has its own form of the OTLP variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// Returns the name that OTLP paths and messages use: `traces`, `metrics` or `logs`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// Returns this signal's form of the variable `general`, for example `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT` for
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`.
    fn variable(self, general: &str) -> String {
        let rest = general.trim_start_matches("OTEL_EXPORTER_OTLP_");
        format!("OTEL_EXPORTER_OTLP_{}_{rest}", self.name().to_ascii_uppercase())
    }
}

/// The transport of OTLP.
///
/// Source: [Specify Protocol](https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specify-protocol).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// OTLP over gRPC, `grpc`.
    Grpc,
    /// OTLP over HTTP with protobuf bodies, `http/protobuf`.
    HttpProtobuf,
}

/// The settings of one signal's OTLP exporter.
///
/// Each variable has a general form and one form per signal, for example `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`. The
/// signal's form overrides the general form.
///
/// Source: [Configuration Options](https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Otlp {
    /// The transport. From `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub protocol: Protocol,
    /// The complete URL. Over HTTP, it includes the signal's path. From `OTEL_EXPORTER_OTLP_ENDPOINT` and
    /// `OTEL_EXPORTER_OTLP_INSECURE`.
    pub endpoint: Uri,
    /// The timeout of one attempt. From `OTEL_EXPORTER_OTLP_TIMEOUT`, in milliseconds.
    pub timeout: Duration,
    /// Whether bodies are compressed with gzip. From `OTEL_EXPORTER_OTLP_COMPRESSION`.
    pub gzip: bool,
    /// The headers of each export. From `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: Headers,
    /// The certificate files.
    pub tls: TlsFiles,
}

/// The PEM files of a TLS client. They are reloaded when their content changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The CA bundle for verifying the server's certificate; `None` for the CAs that the system trusts. From
    /// `OTEL_EXPORTER_OTLP_CERTIFICATE`.
    pub ca_bundle: Option<PathBuf>,
    /// The client's certificate chain and its private key. From `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` and
    /// `OTEL_EXPORTER_OTLP_CLIENT_KEY`.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The names and values of headers. A value can be a credential, so debug output shows only the names.
///
/// Source: [Specifying headers via environment variables].
///
/// [Specifying headers via environment variables]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A value and the name of the variable that it comes from.
struct Found {
    name: String,
    value: String,
}

/// Reads the signal's form of the variable `general`, or the general form if the signal's form is unset.
fn read(env: &dyn Env, signal: Signal, general: &str) -> Option<Found> {
    let own = signal.variable(general);
    [own, general.to_owned()].into_iter().find_map(|name| env.get(&name).map(|value| Found { name, value }))
}

/// Like [`read`], but if both forms are unset, returns `default` as the value of the general form.
fn read_or(env: &dyn Env, signal: Signal, general: &str, default: &str) -> Found {
    read(env, signal, general)
        .unwrap_or_else(|| Found { name: general.to_owned(), value: default.to_owned() })
}

impl Otlp {
    pub(super) fn read(env: &dyn Env, signal: Signal) -> Result<Self, SettingsError> {
        let protocol = read_protocol(env, signal)?;
        let endpoint = read_endpoint(env, signal, protocol)?;
        let tls = read_tls(env, signal, &endpoint)?;
        Ok(Self {
            protocol,
            endpoint,
            timeout: read_timeout(env, signal)?,
            gzip: read_compression(env, signal)?,
            headers: read_headers(env, signal)?,
            tls,
        })
    }

    /// Whether exports use TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.endpoint.scheme_str() == Some("https")
    }
}

fn read_protocol(env: &dyn Env, signal: Signal) -> Result<Protocol, SettingsError> {
    let Some(Found { name, value }) = read(env, signal, names::OTLP_PROTOCOL) else {
        return Ok(compiled::default_protocol());
    };
    let (protocol, missing) = match value.to_ascii_lowercase().as_str() {
        "grpc" => (Protocol::Grpc, compiled::missing_for_grpc()),
        "http/protobuf" => (Protocol::HttpProtobuf, compiled::missing_for_http()),
        _ => return Err(SettingsError::new(name, value, "use grpc or http/protobuf")),
    };
    match missing {
        Some(feature) => Err(SettingsError::new(name, &value, compiled::remedy(&value, feature))),
        None => Ok(protocol),
    }
}

fn read_endpoint(env: &dyn Env, signal: Signal, protocol: Protocol) -> Result<Uri, SettingsError> {
    let own_name = signal.variable(names::OTLP_ENDPOINT);
    let own = env.get(&own_name).map(|value| (own_name, value));
    // The specification appends the signal's path only to the general endpoint. A signal's own endpoint stays
    // unchanged.
    let add_path = own.is_none() && protocol == Protocol::HttpProtobuf;
    let given =
        own.or_else(|| env.get(names::OTLP_ENDPOINT).map(|value| (names::OTLP_ENDPOINT.to_owned(), value)));
    let (name, text) = given.unwrap_or_else(|| {
        let port = if protocol == Protocol::Grpc { 4317 } else { 4318 };
        (names::OTLP_ENDPOINT.to_owned(), format!("http://localhost:{port}"))
    });

    let complete = if protocol == Protocol::Grpc && !text.contains("://") {
        let insecure = match read(env, signal, names::OTLP_INSECURE) {
            Some(found) => flag(env, &found.name, defaults::OTLP_INSECURE)?,
            None => defaults::OTLP_INSECURE,
        };
        format!("{}://{text}", if insecure { "http" } else { "https" })
    } else {
        text.clone()
    };
    // Credentials belong in a header, because a URL can be logged. The error must not show a URL with credentials
    // either.
    let invalid = || SettingsError::secret(&name, "use a URL such as https://collector:4317");
    let url: Uri = complete.parse().ok().filter(is_http_url).ok_or_else(invalid)?;
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(SettingsError::secret(name, "remove the credentials and use OTEL_EXPORTER_OTLP_HEADERS"));
    }
    if cfg!(not(feature = "tls")) && url.scheme_str() == Some("https") {
        return Err(SettingsError::secret(name, compiled::remedy("https", "tls")));
    }
    if !add_path {
        return Ok(url);
    }
    let path = format!("{}/v1/{}", url.path().trim_end_matches('/'), signal.name());
    let path_and_query = match url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(path_and_query.parse::<PathAndQuery>().map_err(|_| invalid())?);
    Uri::from_parts(parts).map_err(|_| invalid())
}

/// Whether `url` has the scheme `http` or `https`, a host, and no port or a usable one.
fn is_http_url(url: &Uri) -> bool {
    let port_is_usable = url.authority().is_some_and(|authority| {
        let after_host = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, rest)| rest);
        !after_host.contains(':') || authority.port_u16().is_some() || authority.as_str().contains('@')
    });
    matches!(url.scheme_str(), Some("http" | "https"))
        && url.host().is_some_and(|host| !host.is_empty())
        && port_is_usable
}

fn read_tls(env: &dyn Env, signal: Signal, endpoint: &Uri) -> Result<TlsFiles, SettingsError> {
    let ca_bundle = read(env, signal, names::OTLP_CERTIFICATE);
    let certificate = read(env, signal, names::OTLP_CLIENT_CERTIFICATE);
    let key = read(env, signal, names::OTLP_CLIENT_KEY);

    let any = [&ca_bundle, &certificate, &key].into_iter().flatten().next();
    if let (Some(found), Some("http")) = (any, endpoint.scheme_str()) {
        // A person who sets certificates expects an encrypted connection.
        let remedy = format!("the endpoint {endpoint} is not encrypted: use https, or unset this variable");
        return Err(SettingsError::new(&found.name, &found.value, remedy));
    }
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate.value.into(), key.value.into())),
        (None, None) => None,
        (Some(certificate), None) => {
            let remedy = format!("also set {} to the private key", names::OTLP_CLIENT_KEY);
            return Err(SettingsError::new(certificate.name, certificate.value, remedy));
        }
        (None, Some(key)) => {
            let remedy = format!("also set {} to the certificate", names::OTLP_CLIENT_CERTIFICATE);
            return Err(SettingsError::new(key.name, key.value, remedy));
        }
    };
    Ok(TlsFiles { ca_bundle: ca_bundle.map(|found| found.value.into()), identity })
}

fn read_timeout(env: &dyn Env, signal: Signal) -> Result<Duration, SettingsError> {
    let name =
        read(env, signal, names::OTLP_TIMEOUT).map_or(names::OTLP_TIMEOUT.to_owned(), |found| found.name);
    read_millis(env, &name, defaults::OTLP_TIMEOUT)
}

fn read_compression(env: &dyn Env, signal: Signal) -> Result<bool, SettingsError> {
    let Found { name, value } = read_or(env, signal, names::OTLP_COMPRESSION, defaults::OTLP_COMPRESSION);
    match value.to_ascii_lowercase().as_str() {
        "gzip" => match compiled::missing_for_gzip() {
            Some(feature) => Err(SettingsError::new(name, &value, compiled::remedy(&value, feature))),
            None => Ok(true),
        },
        "none" => Ok(false),
        _ => Err(SettingsError::new(name, value, "use gzip or none")),
    }
}

fn read_headers(env: &dyn Env, signal: Signal) -> Result<Headers, SettingsError> {
    let Some(Found { name, value }) = read(env, signal, names::OTLP_HEADERS) else {
        return Ok(Headers::default());
    };
    let headers = pairs(&value).map_err(|problem| SettingsError::secret(&name, problem))?;
    for (position, (key, value)) in headers.iter().enumerate() {
        let is_valid = key.parse::<http::HeaderName>().is_ok() && value.parse::<http::HeaderValue>().is_ok();
        if !is_valid {
            let problem = format!("entry {} is not a valid HTTP header", position + 1);
            return Err(SettingsError::secret(name, problem));
        }
    }
    Ok(Headers(headers))
}

#[cfg(test)]
#[cfg(all(feature = "otlp-grpc", feature = "otlp-http", feature = "gzip", feature = "tls"))]
mod tests {
    use super::*;
    use crate::settings::env::MapEnv;

    fn read_traces<const N: usize>(pairs: [(&str, &str); N]) -> Result<Otlp, SettingsError> {
        Otlp::read(&MapEnv::from_iter(pairs), Signal::Traces)
    }

    #[test]
    fn builds_endpoints_as_the_specification_says() {
        for (settings, endpoint) in [
            (vec![], "http://localhost:4318/v1/traces"),
            (vec![("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "http://localhost:4317/"),
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318")], "https://c:4318/v1/traces"),
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/prefix/")], "https://c/prefix/v1/traces"),
            (
                vec![
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://general"),
                    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://own:1/complete/path"),
                ],
                "https://own:1/complete/path",
            ),
            (
                vec![("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317")],
                "https://c:4317/",
            ),
            (
                vec![
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"),
                    ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true"),
                ],
                "http://c:4317/",
            ),
        ] {
            let env = MapEnv::from_iter(settings.clone());
            let otlp = Otlp::read(&env, Signal::Traces).unwrap();
            assert_eq!(
                otlp.endpoint.to_string().trim_end_matches('/'),
                endpoint.trim_end_matches('/'),
                "{settings:?}"
            );
        }
    }

    #[test]
    fn prefers_the_signals_own_variable() {
        let otlp = read_traces([
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
        ])
        .unwrap();
        assert_eq!(otlp.timeout, Duration::from_millis(2));
        assert!(!otlp.gzip);
    }

    #[test]
    fn names_the_missing_half_of_an_identity() {
        let https = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:1");
        let error = read_traces([https, ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k")]).unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), "{error}");
        let error =
            read_traces([https, ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c")]).unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_CLIENT_KEY"), "{error}");
    }

    #[test]
    fn rejects_certificates_for_a_plaintext_endpoint() {
        let error = read_traces([("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca")]).unwrap_err().to_string();
        assert!(error.contains("use https"), "{error}");
    }

    #[test]
    fn never_shows_the_value_of_a_header_or_a_password() {
        let otlp = read_traces([("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")]).unwrap();
        assert!(!format!("{otlp:?}").contains("hunter2"));
        for settings in [
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%0A"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:hunter2@c"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://me:hunter2@c"),
        ] {
            let error = read_traces([settings]).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
