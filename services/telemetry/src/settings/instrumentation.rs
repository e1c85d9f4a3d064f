//! The settings of the layers around requests.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use super::env::{Env, SettingsError, list};
use super::names::{self, defaults};

/// The settings of the layers around requests.
///
/// A layer uses the settings of the [`start`](crate::start) that ran before the layer was created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instrumentation {
    /// The HTTP methods that spans and metrics name. From `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.
    pub known_methods: KnownMethods,
    /// The proxies whose headers name the client of a request. From `SIGHTLINE_TRUSTED_PROXIES`.
    pub trusted_proxies: TrustedProxies,
}

impl Instrumentation {
    pub(super) fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        Ok(Self { known_methods: KnownMethods::read(env)?, trusted_proxies: TrustedProxies::read(env)? })
    }
}

/// The HTTP methods that spans and metrics name. Every other method is recorded as `_OTHER`, because a client can
/// invent methods, and each of them would otherwise become a new time series.
///
/// The default is the list of the semantic conventions, in the attribute [`http.request.method`].
///
/// ```
/// use sightline_telemetry::settings::{MapEnv, Settings};
///
/// let env = MapEnv::from_iter([("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,PURGE")]);
/// let methods = Settings::read(&env)?.instrumentation.known_methods;
/// assert!(methods.contains("PURGE"));
/// assert!(!methods.contains("POST"), "the variable replaces the default list");
/// assert!(!methods.contains("purge"), "methods are case-sensitive");
/// # Ok::<(), sightline_telemetry::settings::SettingsError>(())
/// ```
///
/// [`http.request.method`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/#http-request-method
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownMethods(Option<Arc<[Arc<str>]>>);

impl KnownMethods {
    /// The maximum number of methods. Each method can become a time series.
    const MAX: usize = 100;
    /// The maximum length of a method, in bytes.
    const MAX_LENGTH: usize = 64;

    fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let name = names::HTTP_KNOWN_METHODS;
        let methods = list(env, name, defaults::HTTP_KNOWN_METHODS);
        if methods.len() > Self::MAX {
            let remedy = format!("use at most {} methods", Self::MAX);
            return Err(SettingsError::new(name, methods.join(","), remedy));
        }
        let invalid =
            |method: &&String| method.len() > Self::MAX_LENGTH || !method.bytes().all(is_token_byte);
        if let Some(invalid) = methods.iter().find(invalid) {
            let remedy = format!(
                "use names of HTTP methods, comma-separated, each with at most {} characters, such as GET,PURGE",
                Self::MAX_LENGTH
            );
            return Err(SettingsError::new(name, invalid, remedy));
        }
        // The default list has a faster look-up than other lists.
        let default = methods.iter().eq(defaults::HTTP_KNOWN_METHODS.split(','));
        Ok(Self((!default).then(|| methods.into_iter().map(Arc::from).collect())))
    }

    /// Whether the list contains `method`.
    #[must_use]
    pub fn contains(&self, method: &str) -> bool {
        match &self.0 {
            None => defaults::HTTP_KNOWN_METHODS.split(',').any(|known| known == method),
            Some(listed) => listed.iter().any(|known| **known == *method),
        }
    }

    /// The methods that the setting lists, or `None` for the default list.
    pub(crate) fn listed(&self) -> Option<&[Arc<str>]> {
        self.0.as_deref()
    }
}

/// Whether `byte` can be part of a token, as defined in [RFC 9110, section 5.6.2].
///
/// [RFC 9110, section 5.6.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The networks of the proxies whose headers name the client of a request. An empty list trusts no proxy.
///
/// ```
/// use sightline_telemetry::settings::{MapEnv, Settings};
///
/// let env = MapEnv::from_iter([("SIGHTLINE_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::1")]);
/// let proxies = Settings::read(&env)?.instrumentation.trusted_proxies;
/// assert!(proxies.contains("10.1.2.3".parse().unwrap()));
/// assert!(!proxies.contains("192.0.2.7".parse().unwrap()));
/// # Ok::<(), sightline_telemetry::settings::SettingsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl TrustedProxies {
    fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let name = names::TRUSTED_PROXIES;
        list(env, name, "")
            .into_iter()
            .map(|item| {
                let network = item.parse().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
                network.map_err(|_| {
                    let example = if item.parse::<SocketAddr>().is_ok() { ", without a port" } else { "" };
                    let remedy = format!(
                        "use networks and IP addresses, comma-separated{example}, such as 10.0.0.0/8,2001:db8::1"
                    );
                    SettingsError::new(name, item, remedy)
                })
            })
            .collect()
    }

    /// Whether `address` belongs to one of the networks. An IPv4 address that is mapped to IPv6, such as
    /// `::ffff:10.0.0.1`, counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether no proxy is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::MapEnv;

    fn read(name: &str, value: &str) -> Result<Instrumentation, SettingsError> {
        Instrumentation::read(&MapEnv::from_iter([(name, value)]))
    }

    #[test]
    fn rejects_values_that_are_no_methods_or_networks() {
        let many = (0..=KnownMethods::MAX).map(|i| format!("M{i}")).collect::<Vec<_>>().join(",");
        let long = "M".repeat(KnownMethods::MAX_LENGTH + 1);
        for (name, value, remedy) in [
            (names::HTTP_KNOWN_METHODS, "GET, PUR GE", "use names of HTTP methods"),
            (names::HTTP_KNOWN_METHODS, "GET;POST", "use names of HTTP methods"),
            (names::HTTP_KNOWN_METHODS, &long, "at most 64 characters"),
            (names::HTTP_KNOWN_METHODS, &many, "use at most 100 methods"),
            (names::TRUSTED_PROXIES, "10.0.0.0/33", "use networks and IP addresses"),
            (names::TRUSTED_PROXIES, "10.0.0.1,proxy", "use networks and IP addresses"),
            (names::TRUSTED_PROXIES, "10.0.0.1:80", "without a port"),
            (names::TRUSTED_PROXIES, "*", "use networks and IP addresses"),
        ] {
            let error = read(name, value).unwrap_err();
            assert_eq!(error.name(), name);
            assert!(error.to_string().contains(remedy), "{error}");
        }
    }

    #[test]
    fn an_ipv4_proxy_is_also_trusted_on_an_ipv6_socket() {
        let proxies = read(names::TRUSTED_PROXIES, "10.0.0.0/8").unwrap().trusted_proxies;
        assert!(proxies.contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!proxies.contains("::ffff:11.0.0.1".parse().unwrap()));
        assert!(read(names::TRUSTED_PROXIES, " , ").unwrap().trusted_proxies.is_empty());
    }
}
