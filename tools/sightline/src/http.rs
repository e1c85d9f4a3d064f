//! HTTP clients for Jaeger, the stores and the services.

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

/// Returns the URL of a path below a base URL, without a query.
pub(crate) fn url_below<'a>(base: &Url, path: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // Fails only for a URL that cannot have a path, such as `mailto:`. Requests to such a URL fail anyway.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// The reason why a body could not be read.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The connection failed, or the body was not complete in time.
    Connection(reqwest::Error),
    /// The body is larger than the limit.
    TooLarge,
}

/// Reads the body of a response as text. A body of more than `limit` bytes is rejected before it fills the memory.
pub(crate) async fn text(mut response: reqwest::Response, limit: usize) -> Result<String, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Connection)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
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
