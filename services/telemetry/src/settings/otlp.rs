//! How a signal reaches its collector: the `OTEL_EXPORTER_OTLP_*` variables, general and per signal.
//!
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::env::{Env, SettingsError, flag, pairs};
use super::names;
use super::read_millis;
use url::Url;

/// A kind of telemetry, each with its own form of the OTLP variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Measurements.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// `traces`, `metrics` or `logs`: the word OTLP's paths and messages use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// `OTEL_EXPORTER_OTLP_X` as `OTEL_EXPORTER_OTLP_TRACES_X`.
    fn variable(self, general: &str) -> String {
        let rest = general.trim_start_matches("OTEL_EXPORTER_OTLP_");
        format!("OTEL_EXPORTER_OTLP_{}_{rest}", self.name().to_ascii_uppercase())
    }
}

/// The wire form of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP with protobuf bodies.
    HttpProtobuf,
}

/// Where and how one signal is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The wire form.
    pub protocol: Protocol,
    /// The whole address; over HTTP with the signal's path.
    pub endpoint: Url,
    /// For one attempt.
    pub timeout: Duration,
    /// Whether bodies are compressed with gzip.
    pub gzip: bool,
    /// Headers of each export. Their values may be credentials and are never shown.
    pub headers: Headers,
    /// The files of mutual TLS.
    pub tls: TlsFiles,
}

/// PEM files of a TLS client. They are re-read when their content changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// The authorities a server is checked against; the system's where it is `None`.
    pub authorities: Option<PathBuf>,
    /// The client's certificate chain and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Headers, hidden in debug output.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A value with the name of the variable it was read from, the signal's own before the general one.
struct Read {
    name: String,
    value: String,
}

fn read(env: &dyn Env, signal: Signal, general: &str) -> Option<Read> {
    let own = signal.variable(general);
    [own, general.to_owned()].into_iter().find_map(|name| env.get(&name).map(|value| Read { name, value }))
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

    /// Whether exports are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.endpoint.scheme() == "https"
    }
}

fn read_protocol(env: &dyn Env, signal: Signal) -> Result<Protocol, SettingsError> {
    let Some(Read { name, value }) = read(env, signal, names::OTLP_PROTOCOL) else {
        return Ok(Protocol::HttpProtobuf);
    };
    match value.to_ascii_lowercase().as_str() {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        _ => Err(SettingsError::new(name, value, "use grpc or http/protobuf")),
    }
}

fn read_endpoint(env: &dyn Env, signal: Signal, protocol: Protocol) -> Result<Url, SettingsError> {
    let own_name = signal.variable(names::OTLP_ENDPOINT);
    let own = env.get(&own_name).map(|value| (own_name, value));
    // The specification adds the signal's path to the general endpoint alone: a signal's own is used as it is.
    let add_path = own.is_none() && protocol == Protocol::HttpProtobuf;
    let given =
        own.or_else(|| env.get(names::OTLP_ENDPOINT).map(|value| (names::OTLP_ENDPOINT.to_owned(), value)));
    let (name, text) = given.unwrap_or_else(|| {
        let port = if protocol == Protocol::Grpc { 4317 } else { 4318 };
        (names::OTLP_ENDPOINT.to_owned(), format!("http://localhost:{port}"))
    });

    let complete = if protocol == Protocol::Grpc && !text.contains("://") {
        let insecure = match read(env, signal, names::OTLP_INSECURE) {
            Some(found) => flag(env, &found.name, false)?,
            None => false,
        };
        format!("{}://{text}", if insecure { "http" } else { "https" })
    } else {
        text.clone()
    };
    // Credentials belong into a header; in an address they would be shown wherever it is logged.
    let mut url = Url::parse(&complete)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
        .ok_or_else(|| SettingsError::secret(&name, "use an address such as https://collector:4317"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SettingsError::secret(
            name,
            "leave the credentials out and use OTEL_EXPORTER_OTLP_HEADERS",
        ));
    }
    if add_path {
        let path = format!("{}/v1/{}", url.path().trim_end_matches('/'), signal.name());
        url.set_path(&path);
    }
    Ok(url)
}

fn read_tls(env: &dyn Env, signal: Signal, endpoint: &Url) -> Result<TlsFiles, SettingsError> {
    let authorities = read(env, signal, names::OTLP_CERTIFICATE);
    let certificate = read(env, signal, names::OTLP_CLIENT_CERTIFICATE);
    let key = read(env, signal, names::OTLP_CLIENT_KEY);

    let any = [&authorities, &certificate, &key].into_iter().flatten().next();
    if let (Some(found), "http") = (any, endpoint.scheme()) {
        // Whoever names certificates believes that the connection is encrypted.
        let remedy = format!("{} is not encrypted: use https, or unset this", endpoint.as_str());
        return Err(SettingsError::new(&found.name, &found.value, remedy));
    }
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate.value.into(), key.value.into())),
        (None, None) => None,
        (Some(certificate), None) => {
            let remedy = format!("set {} to its private key too", names::OTLP_CLIENT_KEY);
            return Err(SettingsError::new(certificate.name, certificate.value, remedy));
        }
        (None, Some(key)) => {
            let remedy = format!("set {} to its certificate too", names::OTLP_CLIENT_CERTIFICATE);
            return Err(SettingsError::new(key.name, key.value, remedy));
        }
    };
    Ok(TlsFiles { authorities: authorities.map(|found| found.value.into()), identity })
}

fn read_timeout(env: &dyn Env, signal: Signal) -> Result<Duration, SettingsError> {
    let name =
        read(env, signal, names::OTLP_TIMEOUT).map_or(names::OTLP_TIMEOUT.to_owned(), |found| found.name);
    read_millis(env, &name, 10_000)
}

fn read_compression(env: &dyn Env, signal: Signal) -> Result<bool, SettingsError> {
    let Some(Read { name, value }) = read(env, signal, names::OTLP_COMPRESSION) else {
        return Ok(false);
    };
    match value.to_ascii_lowercase().as_str() {
        "gzip" => Ok(true),
        "none" => Ok(false),
        _ => Err(SettingsError::new(name, value, "use gzip or none")),
    }
}

fn read_headers(env: &dyn Env, signal: Signal) -> Result<Headers, SettingsError> {
    let Some(Read { name, value }) = read(env, signal, names::OTLP_HEADERS) else {
        return Ok(Headers::default());
    };
    let headers = pairs(&value).map_err(|problem| SettingsError::secret(&name, problem))?;
    for (position, (key, value)) in headers.iter().enumerate() {
        let sound = key.parse::<http::HeaderName>().is_ok() && value.parse::<http::HeaderValue>().is_ok();
        if !sound {
            let problem = format!("entry {} is no HTTP header", position + 1);
            return Err(SettingsError::secret(name, problem));
        }
    }
    Ok(Headers(headers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::env::MapEnv;

    fn read_traces<const N: usize>(pairs: [(&str, &str); N]) -> Result<Otlp, SettingsError> {
        Otlp::read(&MapEnv::from_iter(pairs), Signal::Traces)
    }

    #[test]
    fn endpoints_follow_the_specification() {
        for (settings, endpoint) in [
            (vec![], "http://localhost:4318/v1/traces"),
            (vec![("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "http://localhost:4317/"),
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318")], "https://c:4318/v1/traces"),
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/prefix/")], "https://c/prefix/v1/traces"),
            (
                vec![
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://general"),
                    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://own:1/as/it/is"),
                ],
                "https://own:1/as/it/is",
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
                otlp.endpoint.as_str().trim_end_matches('/'),
                endpoint.trim_end_matches('/'),
                "{settings:?}"
            );
        }
    }

    #[test]
    fn a_signals_own_variable_wins() {
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
    fn half_an_identity_is_refused_by_the_name_of_what_is_missing() {
        let https = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:1");
        let error = read_traces([https, ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k")]).unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), "{error}");
        let error =
            read_traces([https, ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c")]).unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_CLIENT_KEY"), "{error}");
    }

    #[test]
    fn certificates_for_a_plaintext_endpoint_are_refused() {
        let error = read_traces([("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca")]).unwrap_err().to_string();
        assert!(error.contains("use https"), "{error}");
    }

    #[test]
    fn no_error_and_no_debug_output_shows_a_header_or_a_password() {
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
