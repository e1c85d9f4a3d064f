use super::*;
use http::HeaderValue;
use proptest::prelude::*;

const PROXY: &str = "10.0.0.1";

fn trusted() -> TrustedProxies {
    ["10.0.0.0/8", "2001:db8:1::/48"].map(|network| network.parse().unwrap()).into_iter().collect()
}

fn headers<'a>(pairs: impl IntoIterator<Item = (&'static str, &'a [u8])>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

type Host = (String, Option<u16>);

/// The client, scheme and host of a request that a trusted proxy has sent.
fn read(pairs: &[(&'static str, &str)]) -> (String, Option<&'static str>, Option<Host>) {
    let headers = headers(pairs.iter().map(|(name, value)| (*name, value.as_bytes())));
    let origin = origin(&headers, PROXY.parse().unwrap(), &trusted()).unwrap();
    let host = origin.host.map(|Authority { host, port }| (host.to_owned(), port));
    (origin.client.to_string(), origin.scheme, host)
}

#[test]
fn the_client_is_the_last_address_that_is_not_a_trusted_proxy() {
    for (value, client) in [
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.9, 192.0.2.1", "192.0.2.1"),
        ("198.51.100.9, 192.0.2.1, 10.0.0.3, 10.0.0.2", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:4711,10.0.0.2", "2001:db8::7"),
        ("2001:db8::7,2001:db8:1::2", "2001:db8::7"),
        ("::ffff:192.0.2.1,::ffff:10.0.0.2", "192.0.2.1"),
        ("192.0.2.1,,  ,", "192.0.2.1"),
        // All entries are proxies.
        ("10.0.0.3,10.0.0.2", "10.0.0.3"),
        // The walk stops where an address is missing.
        ("192.0.2.1, unknown", PROXY),
        ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1, nonsense, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1, 10.0.0.2:", PROXY),
        ("192.0.2.1, 10.0.0.2:123456", PROXY),
        ("192.0.2.1, fe80::1%eth0", PROXY),
        ("", PROXY),
    ] {
        assert_eq!(read(&[("x-forwarded-for", value)]).0, client, "{value}");
    }
    let two_lines = [("x-forwarded-for", "198.51.100.9"), ("x-forwarded-for", "192.0.2.1, 10.0.0.2")];
    assert_eq!(read(&two_lines).0, "192.0.2.1");
}

#[test]
fn reads_the_forms_of_rfc_7239() {
    for (value, client, scheme, host) in [
        ("for=192.0.2.1", "192.0.2.1", None, None),
        ("For=\"[2001:db8::7]:4711\"", "2001:db8::7", None, None),
        (
            "for=192.0.2.1;proto=HTTPS;host=\"shop.example.org:8443\";by=10.0.0.1",
            "192.0.2.1",
            Some("https"),
            Some(("shop.example.org", Some(8443))),
        ),
        // The outermost trusted proxy describes the request of the client.
        (
            "for=6.6.6.6;host=evil, for=192.0.2.1;proto=https;host=shop, for=10.0.0.2;proto=http;host=inner",
            "192.0.2.1",
            Some("https"),
            Some(("shop", None)),
        ),
        ("for=192.0.2.1, for=10.0.0.2;proto=https", "192.0.2.1", Some("https"), None),
        ("for=192.0.2.1;ext=\"a,b;c\\\"\" , for=10.0.0.2", "192.0.2.1", None, None),
        ("for=_hidden;proto=https, for=10.0.0.2", "10.0.0.2", Some("https"), None),
        ("for=unknown", PROXY, None, None),
        ("for=\"192.0.2.1:_port\"", "192.0.2.1", None, None),
        ("proto=https", PROXY, Some("https"), None),
        ("proto=gopher;host=\"<script>\"", PROXY, None, None),
        // Malformed elements
        ("for=192.0.2.1;for=192.0.2.2", PROXY, None, None),
        ("for=\"192.0.2.1", PROXY, None, None),
        ("for=\"192.0.2.\\1\"", PROXY, None, None),
        ("192.0.2.1", PROXY, None, None),
        ("for=", PROXY, None, None),
    ] {
        let host = host.map(|(host, port): (&str, _)| (host.to_owned(), port));
        assert_eq!(read(&[("forwarded", value)]), (client.to_owned(), scheme, host), "{value}");
    }
}

#[test]
fn reads_the_scheme_and_host_that_the_nearest_proxy_wrote() {
    let headers = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "gopher, https"),
        ("x-forwarded-host", "evil, shop:8443"),
    ];
    assert_eq!(read(&headers), ("192.0.2.1".into(), Some("https"), Some(("shop".into(), Some(8443)))));
    assert_eq!(read(&headers[1..]), (PROXY.into(), Some("https"), Some(("shop".into(), Some(8443)))));
    // With `Forwarded`, the other headers can be from the client.
    let with_forwarded = [("forwarded", "for=192.0.2.1"), headers[1], headers[2]];
    assert_eq!(read(&with_forwarded), ("192.0.2.1".into(), None, None));
}

#[test]
fn believes_neither_header_if_they_name_different_clients() {
    let both = |standard, other| {
        let headers = headers([("forwarded", standard), ("x-forwarded-for", other)]);
        origin(&headers, PROXY.parse().unwrap(), &trusted()).map(|origin| origin.client.to_string())
    };
    assert_eq!(both(b"for=192.0.2.1", b"192.0.2.1"), Some("192.0.2.1".into()));
    assert_eq!(both(b"for=6.6.6.6", b"192.0.2.1"), None);
    assert_eq!(both(b"host=evil", b"192.0.2.1"), None);
}

#[test]
fn a_peer_that_is_not_trusted_is_not_believed() {
    let headers = headers([("forwarded", &b"for=6.6.6.6"[..])]);
    assert_eq!(origin(&headers, "192.0.2.1".parse().unwrap(), &trusted()), None);
    assert_eq!(origin(&headers, PROXY.parse().unwrap(), &TrustedProxies::default()), None);
}

#[test]
fn a_long_chain_ends_at_the_limit() {
    let chain = ["10.0.0.9"; 2 * MAX_HOPS].join(",");
    assert_eq!(read(&[("x-forwarded-for", &format!("6.6.6.6,{chain}"))]).0, "10.0.0.9");
}

/// Bytes that a header value can contain, with those that matter to the parser more often.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(&b"\",;=\\[]:. _"[..]),
        prop::sample::select(&b"for10unknow"[..]),
        32..=126_u8,
        128..=255_u8
    ];
    prop::collection::vec(byte, 0..80)
}

proptest! {
    #[test]
    fn never_panics(standard in any_value(), other in any_value(), host in any_value(), proto in any_value()) {
        let headers = headers([
            ("forwarded", &standard[..]),
            ("x-forwarded-for", &other),
            ("x-forwarded-host", &host),
            ("x-forwarded-proto", &proto),
        ]);
        origin(&headers, PROXY.parse().unwrap(), &trusted());
        let mut only_other = headers;
        only_other.remove("forwarded");
        prop_assert!(origin(&only_other, PROXY.parse().unwrap(), &trusted()).is_some());
    }

    /// A client sends any header. Trusted proxies append the client's address and their own.
    #[test]
    fn never_an_address_from_a_hop_that_is_not_trusted(
        sent in any_value(),
        client in prop_oneof![Just("192.0.2.1"), Just("2001:db8::7")],
        proxies in 0..5_usize,
        one_line: bool,
    ) {
        let quoted = |address: &str| {
            if address.contains(':') { format!("for=\"[{address}]\"") } else { format!("for={address}") }
        };
        let inner = vec!["10.0.0.2"; proxies];
        let plain = [&[client][..], &inner].concat().join(", ");
        let standard = [&[client][..], &inner].concat().into_iter().map(quoted).collect::<Vec<_>>().join(", ");
        for (name, appended) in [("x-forwarded-for", plain), ("forwarded", standard)] {
            let headers = if one_line {
                headers([(name, &[&sent[..], b", ", appended.as_bytes()].concat()[..])])
            } else {
                headers([(name, &sent[..]), (name, appended.as_bytes())])
            };
            let origin = origin(&headers, PROXY.parse().unwrap(), &trusted()).unwrap();
            prop_assert_eq!(origin.client.to_string(), client, "{}", name);
            prop_assert_eq!((origin.scheme, origin.host), (None, None));
        }
    }
}
