//! The HTTP client of this program.

use std::sync::Once;
use std::time::Duration;

use url::Url;

/// A client for one backend, with deadlines.
///
/// A proxy set for the outside world does not apply to this machine: `HTTP_PROXY` without a fitting `NO_PROXY` is
/// common, and would send a request for loopback elsewhere. Fails where the TLS backend cannot be set up.
pub(crate) fn client(target: &Url) -> reqwest::Result<reqwest::Client> {
    let configured = || if is_loopback(target) { builder().no_proxy() } else { builder() };
    match configured().build() {
        // An image from scratch has no authorities, and reqwest looks for them even where nothing is encrypted.
        Err(_) if target.scheme() == "http" => configured().tls_certs_only([]).build(),
        built => built,
    }
}

/// A client for this machine, without TLS.
pub(crate) fn local_client() -> reqwest::Result<reqwest::Client> {
    builder().no_proxy().tls_certs_only([]).build()
}

fn builder() -> reqwest::ClientBuilder {
    install_provider();
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

/// rustls has no provider of its own in this build; a process sets one once.
fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that someone else has installed one, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_its_names() {
        for url in ["http://localhost:1", "http://127.0.0.5", "http://[::1]:16686/x", "http://a.localhost"] {
            assert!(is_loopback(&url.parse().unwrap()), "{url}");
        }
        for url in ["http://example.com", "http://10.0.0.1", "http://localhost.example.com"] {
            assert!(!is_loopback(&url.parse().unwrap()), "{url}");
        }
    }
}
