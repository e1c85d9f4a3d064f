//! The origin of a request that trusted proxies have forwarded.
//!
//! Each proxy appends the address of its own peer to the header `Forwarded` ([RFC 7239]) or `X-Forwarded-For`. Everything
//! to the left of an entry was already in the request, and a client can have invented it. So the entries are read from
//! right to left, and the first address that is not the address of a trusted proxy is the client. There is no library
//! for this direction: a parser that reads from the left lets a client invalidate what a proxy appended, for example
//! with a quotation mark.
//!
//! [RFC 7239]: https://www.rfc-editor.org/rfc/rfc7239

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::HeaderMap;
use http::header::{self, HeaderName};

use crate::instrument::network::Authority;
use crate::settings::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The maximum number of proxies in front of a service. It bounds the work for a header with many entries.
const MAX_HOPS: usize = 32;

/// What the trusted proxies report about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    /// The address from which the outermost trusted proxy received the request. If that address is unknown, the address
    /// of this proxy.
    pub(crate) client: IpAddr,
    /// The scheme of the request that the client sent, `http` or `https`.
    pub(crate) scheme: Option<&'static str>,
    /// The host and port of the request that the client sent.
    pub(crate) host: Option<Authority<'a>>,
}

/// Returns what the proxies in `trusted` report about the request with these headers, which `peer` has sent.
///
/// Returns `None` if `peer` is not trusted. Also returns `None` if the two headers name different clients. A proxy that
/// extends only one of them forwards the other one as the client wrote it, and it is not known which one that is.
pub(crate) fn origin<'a>(
    headers: &'a HeaderMap,
    peer: IpAddr,
    trusted: &TrustedProxies,
) -> Option<Origin<'a>> {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        return None;
    }
    let start = Origin { client: peer, scheme: None, host: None };
    let standard = headers
        .contains_key(header::FORWARDED)
        .then(|| walk(start, entries(headers, header::FORWARDED), trusted, forwarded));
    let other = headers
        .contains_key(X_FORWARDED_FOR)
        .then(|| walk(start, entries(headers, X_FORWARDED_FOR), trusted, x_forwarded_for));
    match (standard, other) {
        (Some(standard), Some(other)) if standard.client != other.client => None,
        (Some(standard), _) => Some(standard),
        (None, other) => Some(Origin {
            scheme: last(headers, X_FORWARDED_PROTO).and_then(scheme),
            host: last(headers, X_FORWARDED_HOST).and_then(Authority::parse),
            ..other.unwrap_or(start)
        }),
    }
}

/// Reads entries, the last one first. Each entry comes from the proxy with the address `origin.client`, so the walk ends
/// when this is not a trusted proxy. It also ends at an entry that is malformed or names no address.
fn walk<'a>(
    mut origin: Origin<'a>,
    entries: impl Iterator<Item = &'a [u8]>,
    trusted: &TrustedProxies,
    parse: impl Fn(&'a str) -> Option<Entry<'a>>,
) -> Origin<'a> {
    for entry in entries.take(MAX_HOPS) {
        let Some(entry) = std::str::from_utf8(entry).ok().and_then(|text| parse(text.trim_ascii())) else {
            break;
        };
        origin.scheme = entry.scheme.or(origin.scheme);
        origin.host = entry.host.or(origin.host);
        let Some(Node::Address(address)) = entry.node else { break };
        origin.client = address;
        if !trusted.contains(address) {
            break;
        }
    }
    origin
}

/// The entries of all headers with this name, the last one first, without empty ones.
fn entries(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(name).into_iter().rev();
    values
        .flat_map(|value| RightSplit::new(value.as_bytes(), b','))
        .filter(|entry| !entry.trim_ascii().is_empty())
}

fn last(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    std::str::from_utf8(entries(headers, name).next()?).ok().map(str::trim_ascii)
}

/// What one proxy reports about its peer.
#[derive(Debug, Default)]
struct Entry<'a> {
    node: Option<Node>,
    scheme: Option<&'static str>,
    host: Option<Authority<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Node {
    Address(IpAddr),
    /// The proxy does not know or does not reveal the address: `unknown` or an obfuscated identifier such as `_gw`.
    Hidden,
}

fn x_forwarded_for(entry: &str) -> Option<Entry<'_>> {
    Some(Entry { node: Some(node(entry)?), ..Entry::default() })
}

/// Parses an element of `Forwarded`: `for=192.0.2.43;proto=https;host=example.org`, in any order.
fn forwarded(entry: &str) -> Option<Entry<'_>> {
    let mut parsed = Entry::default();
    let mut seen = Vec::new();
    for pair in RightSplit::new(entry.as_bytes(), b';') {
        // A separator is ASCII, so each piece between separators is valid UTF-8.
        let pair = std::str::from_utf8(pair).ok()?.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        let name = ["for", "host", "proto", "by"].into_iter().find(|known| name.eq_ignore_ascii_case(known));
        let Some(name) = name else { continue }; // an extension
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        let value = unquoted(value)?;
        match name {
            "for" => parsed.node = Some(node(value)?),
            "host" => parsed.host = Authority::parse(value),
            "proto" => parsed.scheme = scheme(value),
            _ => {}
        }
    }
    Some(parsed)
}

/// The text of a token or of a quoted string. No address, host or scheme contains an escaped character.
fn unquoted(value: &str) -> Option<&str> {
    let inner = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    (!inner.contains(['"', '\\'])).then_some(inner)
}

fn scheme(text: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme))
}

/// Parses a node identifier ([RFC 7239, section 6]). Also accepts an IPv6 address without brackets, which is usual in
/// `X-Forwarded-For`.
///
/// [RFC 7239, section 6]: https://www.rfc-editor.org/rfc/rfc7239#section-6
fn node(text: &str) -> Option<Node> {
    let address = |address: IpAddr| Node::Address(address.to_canonical());
    if let Ok(bare) = text.parse::<Ipv6Addr>() {
        return Some(address(bare.into()));
    }
    let (node, port) = if let Some(rest) = text.strip_prefix('[') {
        let (node, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        (address(node.parse::<Ipv6Addr>().ok()?.into()), port)
    } else {
        let (node, port) = text.split_once(':').map_or((text, None), |(node, port)| (node, Some(port)));
        let node = match node.parse::<Ipv4Addr>() {
            Ok(node) => address(node.into()),
            Err(_) if node.eq_ignore_ascii_case("unknown") || is_obfuscated(node) => Node::Hidden,
            Err(_) => return None,
        };
        (node, port)
    };
    let valid_port = |port: &str| {
        is_obfuscated(port)
            || ((1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    port.is_none_or(valid_port).then_some(node)
}

/// Whether `text` is an obfuscated identifier ([RFC 7239, section 6.3]).
///
/// [RFC 7239, section 6.3]: https://www.rfc-editor.org/rfc/rfc7239#section-6.3
fn is_obfuscated(text: &str) -> bool {
    text.strip_prefix('_').is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    })
}

/// Splits a text at a separator outside quoted strings, the last piece first.
///
/// Whether a separator is in a quoted string is decided only by the text to the right of it. So no text at the left can
/// change how the pieces at the right are split.
struct RightSplit<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> RightSplit<'a> {
    fn new(text: &'a [u8], separator: u8) -> Self {
        Self { rest: Some(text), separator }
    }
}

impl<'a> Iterator for RightSplit<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let mut quoted = false;
        for (index, byte) in rest.iter().enumerate().rev() {
            if *byte == b'"' && !(quoted && is_escaped(&rest[..index])) {
                quoted = !quoted;
            } else if *byte == self.separator && !quoted {
                self.rest = Some(&rest[..index]);
                return Some(&rest[index + 1..]);
            }
        }
        Some(rest)
    }
}

/// Whether an odd number of backslashes precedes a character, so that the character is escaped.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests;
