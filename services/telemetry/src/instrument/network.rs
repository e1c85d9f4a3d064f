//! The addresses of the server and of the peer of a connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT, SERVER_ADDRESS, SERVER_PORT,
};

/// The host and the optional port from a `Host` header, from `:authority` in HTTP/2, or from a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// A name or an IP address. An IPv6 address has no brackets here.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// The maximum length of a DNS name. A longer text is not a host.
    const MAX_HOST: usize = 255;

    /// Parses `host[:port]`, and ignores user information before an `@`. Returns `None` if `text` has another form.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = text.rsplit_once('@').map_or(text, |(_userinfo, host)| host);
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        let plausible = !host.is_empty()
            && host.len() <= Self::MAX_HOST
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%:".contains(&b));
        plausible.then_some(Self { host, port })
    }

    /// The server that a request was sent to.
    pub(crate) fn of_request<B>(request: &'a http::Request<B>) -> Option<Self> {
        match request.uri().authority() {
            Some(authority) => Self::parse(authority.as_str()),
            None => Self::parse(request.headers().get(http::header::HOST)?.to_str().ok()?),
        }
    }

    /// The attribute `server.address`, and `server.port` if the port is known.
    pub(crate) fn attributes(self) -> impl Iterator<Item = KeyValue> {
        let port = self.port.map(|port| KeyValue::new(SERVER_PORT, i64::from(port)));
        std::iter::once(KeyValue::new(SERVER_ADDRESS, self.host.to_owned())).chain(port)
    }
}

/// The attributes of the connection's peer, and `client.address`. `client` is the client that a trusted proxy named.
/// Without it, the peer counts as the client, because headers that name another client are not trusted.
pub(crate) fn peer_attributes(peer: SocketAddr, client: Option<IpAddr>) -> [KeyValue; 3] {
    let address: Arc<str> = peer.ip().to_string().into();
    let client = client.map_or_else(|| address.clone(), |client| client.to_string().into());
    [
        KeyValue::new(CLIENT_ADDRESS, client),
        KeyValue::new(NETWORK_PEER_ADDRESS, address),
        KeyValue::new(NETWORK_PEER_PORT, i64::from(peer.port())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_a_host_with_or_without_a_port() {
        let parsed = |text| Authority::parse(text).map(|Authority { host, port }| (host, port));
        assert_eq!(parsed("users:8080"), Some(("users", Some(8080))));
        assert_eq!(parsed("users.example.org"), Some(("users.example.org", None)));
        assert_eq!(parsed("[::1]:443"), Some(("::1", Some(443))));
        assert_eq!(parsed("[::1]"), Some(("::1", None)));
        assert_eq!(parsed("ada:secret@users:1"), Some(("users", Some(1))));
        for invalid in ["", ":80", "users:port", "users:70000", "a b", "<script>", &"a".repeat(256)] {
            assert_eq!(parsed(invalid), None, "{invalid}");
        }
    }

    proptest! {
        #[test]
        fn parses_any_text_without_a_panic(text in "\\PC{0,300}") {
            if let Some(authority) = Authority::parse(&text) {
                prop_assert!(!authority.host.is_empty() && authority.host.len() <= 255);
            }
        }
    }
}
