//! HTTP clients for Jaeger and the services.

use std::sync::Once;
use std::time::Duration;

use url::Url;

/// Creates a client for one server. A connection attempt times out after 5 s, and a whole request after 30 s.
///
/// The client ignores proxy settings if the server is on this machine. `HTTP_PROXY` is often set without a matching
/// `NO_PROXY`, and requests to a loopback address would then go to the proxy. Fails if TLS cannot be set up.
pub(crate) fn client(target: &Url) -> reqwest::Result<reqwest::Client> {
    let configured = || if is_loopback(target) { builder().no_proxy() } else { builder() };
    match configured().build() {
        // reqwest loads root certificates even for plain HTTP, and fails if there are none, as in some container
        // images. Plain HTTP does not need root certificates, so try again without them.
        Err(_) if target.scheme() == "http" => configured().tls_certs_only([]).build(),
        built => built,
    }
}

/// Creates a client for plain HTTP to this machine, with the same timeouts as [`client`].
pub(crate) fn local_client() -> reqwest::Result<reqwest::Client> {
    builder().no_proxy().tls_certs_only([]).build()
}

fn builder() -> reqwest::ClientBuilder {
    install_crypto_provider();
    reqwest::Client::builder()
        .user_agent(concat!("sightline/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(30))
}

fn is_loopback(target: &Url) -> bool {
    match target.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Installs ring as rustls' default crypto provider, because reqwest's feature `rustls-no-provider` does not include a
/// provider.
fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails if a provider is already installed. That provider works too.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_loopback_hosts() {
        for url in ["http://localhost:1", "http://127.0.0.5", "http://[::1]:16686/x", "http://a.localhost"] {
            assert!(is_loopback(&url.parse().unwrap()), "{url}");
        }
        for url in ["http://example.com", "http://10.0.0.1", "http://localhost.example.com"] {
            assert!(!is_loopback(&url.parse().unwrap()), "{url}");
        }
    }
}
