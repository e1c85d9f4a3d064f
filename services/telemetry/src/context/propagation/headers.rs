//! Reads the context from HTTP headers and writes it to them. gRPC sends the metadata of a call in HTTP headers too.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};
use percent_encoding::percent_decode_str;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// The maximum length of `baggage` and of `tracestate`, in bytes. An implementation must propagate at least 8192 bytes
/// of baggage ([W3C Baggage, limits]) and at least 512 characters of `tracestate`.
///
/// [W3C Baggage, limits]: https://www.w3.org/TR/baggage/#limits
const MAX_LENGTH: usize = 8192;

/// The maximum number of list members in a `tracestate` ([W3C Trace Context, list]).
///
/// [W3C Trace Context, list]: https://www.w3.org/TR/trace-context/#list
const MAX_STATES: usize = 32;

/// Lets a propagator read the caller's context from the headers of a request.
///
/// It never fails: a malformed header counts as absent.
///
/// - A header line with characters other than visible ASCII, spaces and tabs is ignored.
/// - Several `baggage` header lines are joined into one list, and so are several `tracestate` header lines. A list of
///   more than 8192 bytes, or a `tracestate` of more than 32 members, is ignored as a whole.
/// - Malformed `baggage` members are left out.
/// - A `traceparent` must have the form that [W3C Trace Context] defines. If a request has more than one `traceparent`,
///   all of them are ignored, because a request can have only one parent.
///
/// ```
/// use opentelemetry::global;
/// use sightline_telemetry::propagation::HeaderExtractor;
///
/// let headers = http::HeaderMap::new();
/// let context = global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor::new(&headers)));
/// ```
///
/// [W3C Trace Context]: https://www.w3.org/TR/trace-context/#traceparent-header-field-values
#[derive(Debug)]
pub struct HeaderExtractor<'a> {
    headers: &'a HeaderMap,
    // The joined header lines. `Extractor::get` returns a reference, so it cannot return lines that it has just joined.
    baggage: Option<Cow<'a, str>>,
    tracestate: Option<Cow<'a, str>>,
}

impl<'a> HeaderExtractor<'a> {
    /// Creates an extractor for `headers`.
    #[must_use]
    pub fn new(headers: &'a HeaderMap) -> Self {
        let tracestate = list(headers, &TRACESTATE)
            .filter(|list| list.split(',').take(MAX_STATES + 1).count() <= MAX_STATES);
        Self { headers, baggage: list(headers, &BAGGAGE).and_then(valid_members), tracestate }
    }
}

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key.eq_ignore_ascii_case(BAGGAGE.as_str()) {
            self.baggage.as_deref()
        } else if key.eq_ignore_ascii_case(TRACESTATE.as_str()) {
            self.tracestate.as_deref()
        } else {
            let mut lines = self.headers.get_all(key).iter();
            let value = lines.next()?.to_str().ok()?;
            if key.eq_ignore_ascii_case(TRACEPARENT.as_str())
                && (lines.next().is_some() || !is_traceparent(value))
            {
                return None;
            }
            Some(value)
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.headers.keys().map(HeaderName::as_str).collect()
    }
}

/// Whether `value` has the form of a `traceparent`: fields of fixed length in lower-case hexadecimal digits.
///
/// The SDK's propagator also accepts fields with fewer digits (`00-abc-1-01`) or with a leading sign. With so few
/// digits, unrelated requests could get the same trace ID.
///
/// Source: <https://www.w3.org/TR/trace-context/#traceparent-header-field-values>
fn is_traceparent(value: &str) -> bool {
    let is_hex = |field: &str| field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut fields = value.trim().splitn(5, '-');
    let fixed = [2, 32, 16, 2]
        .into_iter()
        .all(|length| fields.next().is_some_and(|field| field.len() == length && is_hex(field)));
    // Version 00 has four fields. A later version can have more.
    fixed && (fields.next().is_none() || !value.trim().starts_with("00-"))
}

/// Joins the lines of the header `name` into one list. Returns `None` if the header is absent or the list is too long.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut list: Option<Cow<'a, str>> = None;
    for line in headers.get_all(name) {
        let Ok(line) = line.to_str() else { continue };
        let length = list.as_ref().map_or(0, |list| list.len() + 1) + line.len();
        if length > MAX_LENGTH {
            return None;
        }
        match &mut list {
            None => list = Some(Cow::Borrowed(line)),
            Some(list) => {
                let list = list.to_mut();
                list.push(',');
                list.push_str(line);
            }
        }
    }
    list
}

/// The members of `list` that are valid baggage.
///
/// The SDK also skips invalid members, but for each of them, it logs a warning that contains the whole header. Without
/// this function, any client could cause half a megabyte of logs with one `baggage` header of 8 KiB, and put personal
/// data into the logs.
fn valid_members(list: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if list.split(',').all(is_baggage) {
        return Some(list);
    }
    let valid: Vec<&str> = list.split(',').filter(|member| is_baggage(member)).collect();
    (!valid.is_empty()).then(|| Cow::Owned(valid.join(",")))
}

/// Whether `member` has the form `key=value`, optionally followed by properties, and the key and value are UTF-8 after
/// percent-decoding.
fn is_baggage(member: &str) -> bool {
    let pair = member.split(';').next().unwrap_or_default();
    pair.split_once('=').is_some_and(|(key, value)| !key.trim().is_empty() && decodes(key) && decodes(value))
}

/// Whether `text` is UTF-8 after percent-decoding. Like the SDK, this function treats a malformed escape such as `%zz`
/// as plain text.
fn decodes(text: &str) -> bool {
    percent_decode_str(text).decode_utf8().is_ok()
}

/// Lets a propagator write a context into the headers of a request.
///
/// It never fails: a value that is not valid in a header is left out. An empty value removes the header, because an
/// empty header has no meaning. The W3C propagator writes an empty `tracestate` if the context has no trace state.
///
/// ```
/// use opentelemetry::{Context, global};
/// use sightline_telemetry::propagation::HeaderInjector;
///
/// let mut headers = http::HeaderMap::new();
/// global::get_text_map_propagator(|propagator| {
///     propagator.inject_context(&Context::current(), &mut HeaderInjector::new(&mut headers));
/// });
/// ```
#[derive(Debug)]
pub struct HeaderInjector<'a> {
    headers: &'a mut HeaderMap,
}

impl<'a> HeaderInjector<'a> {
    /// Creates an injector for `headers`.
    #[must_use]
    pub fn new(headers: &'a mut HeaderMap) -> Self {
        Self { headers }
    }
}

impl Injector for HeaderInjector<'_> {
    fn set(&mut self, key: &str, value: String) {
        // The usual header names need no parsing and no allocation.
        let name = match key {
            "traceparent" => TRACEPARENT,
            "tracestate" => TRACESTATE,
            "baggage" => BAGGAGE,
            other => match HeaderName::from_bytes(other.as_bytes()) {
                Ok(name) => name,
                Err(_) => return,
            },
        };
        if value.is_empty() {
            self.headers.remove(name);
        } else if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.insert(name, value);
        }
    }

    fn reserve(&mut self, additional: usize) {
        self.headers.reserve(additional);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::baggage::BaggageExt as _;
    use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator as _};
    use opentelemetry::trace::TraceContextExt as _;
    use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
    use proptest::prelude::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn propagator() -> TextMapCompositePropagator {
        TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ])
    }

    #[test]
    fn joins_the_lines_of_a_list() {
        let headers = headers(&[
            ("traceparent", PARENT.as_bytes()),
            ("tracestate", b"a=1"),
            ("tracestate", b"b=2"),
            ("baggage", b"environment=demo"),
            ("baggage", b"version=3"),
        ]);
        let extractor = HeaderExtractor::new(&headers);
        assert_eq!(extractor.get("TraceState"), Some("a=1,b=2"));
        let context = propagator().extract(&extractor);
        assert_eq!(context.span().span_context().trace_state().header(), "a=1,b=2");
        assert_eq!(context.baggage().get("environment").map(AsRef::as_ref), Some("demo"));
        assert_eq!(context.baggage().get("version").map(AsRef::as_ref), Some("3"));
    }

    #[test]
    fn ignores_malformed_headers() {
        let headers = headers(&[
            ("traceparent", PARENT.as_bytes()),
            ("traceparent", PARENT.as_bytes()),
            ("tracestate", b"\xff\xfe"),
            ("baggage", b"caf\xc3\xa9=1"),
            ("baggage", b"kept=1"),
        ]);
        let extractor = HeaderExtractor::new(&headers);
        assert_eq!(extractor.get("traceparent"), None);
        assert_eq!(extractor.get("tracestate"), None);
        assert_eq!(extractor.get("baggage"), Some("kept=1"));
    }

    #[test]
    fn reads_only_a_traceparent_of_the_specified_form() {
        let read = |value: &str| {
            let headers = headers(&[("traceparent", value.as_bytes())]);
            propagator().extract(&HeaderExtractor::new(&headers)).span().span_context().is_valid()
        };
        assert!(read(PARENT));
        for invalid in [
            "00-abc-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-1-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7-01",
        ] {
            assert!(!read(invalid), "{invalid}");
        }
    }

    #[test]
    fn ignores_a_list_that_is_too_long() {
        let line = format!("key={}", "v".repeat(MAX_LENGTH / 2));
        let headers = headers(&[("baggage", line.as_bytes()), ("baggage", line.as_bytes())]);
        assert_eq!(HeaderExtractor::new(&headers).get("baggage"), None);

        let states = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        for (count, kept) in [(MAX_STATES, true), (MAX_STATES + 1, false)] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACESTATE, HeaderValue::try_from(states(count)).unwrap());
            assert_eq!(HeaderExtractor::new(&headers).get("tracestate").is_some(), kept, "{count} members");
        }
    }

    #[test]
    fn passes_only_valid_baggage_to_the_sdk() {
        for (sent, kept) in [
            ("a=1,nonsense,b=2;property", Some("a=1,b=2;property")),
            ("a=%C3%A9", Some("a=%C3%A9")),
            ("a=100%,b=%zz,c=%2", Some("a=100%,b=%zz,c=%2")),
            ("a=%ff,%C3=b,c=3", Some("c=3")),
            ("nonsense", None),
            ("=1", None),
        ] {
            let headers = headers(&[("baggage", sent.as_bytes())]);
            assert_eq!(HeaderExtractor::new(&headers).get("baggage"), kept, "{sent}");
        }
    }

    #[test]
    fn injects_what_it_has_extracted() {
        let sent = headers(&[
            ("traceparent", PARENT.as_bytes()),
            ("tracestate", b"a=1"),
            ("baggage", b"environment=demo"),
        ]);
        let context = propagator().extract(&HeaderExtractor::new(&sent));
        let mut received = HeaderMap::new();
        propagator().inject_context(&context, &mut HeaderInjector::new(&mut received));
        assert_eq!(received, sent);
    }

    #[test]
    fn does_not_send_an_empty_or_invalid_value() {
        let mut headers = headers(&[("tracestate", b"stale=1")]);
        let mut injector = HeaderInjector::new(&mut headers);
        injector.set("tracestate", String::new());
        injector.set("baggage", "line\nbreak".to_owned());
        injector.set("no name", "value".to_owned());
        assert!(headers.is_empty(), "{headers:?}");
    }

    proptest! {
        /// For any bytes that a caller sends, extraction does not panic, and the size of its result is limited.
        #[test]
        fn extracts_a_bounded_context_from_any_headers(lines in prop::collection::vec(
            (prop::sample::select(vec!["traceparent", "tracestate", "baggage", "b3", "x-other"]),
             prop_oneof![
                 prop::collection::vec(any::<u8>(), 0..64),
                 "[a-z0-9=;,% -]{0,1500}".prop_map(String::into_bytes),
                 "00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}".prop_map(String::into_bytes),
             ]),
            0..12,
        )) {
            let mut headers = HeaderMap::new();
            for (name, value) in &lines {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.append(*name, value);
                }
            }
            let extractor = HeaderExtractor::new(&headers);
            for name in ["baggage", "tracestate"] {
                prop_assert!(extractor.get(name).is_none_or(|list| list.len() <= MAX_LENGTH));
            }
            let context = propagator().extract(&extractor);
            prop_assert!(context.baggage().len() <= 64);
            let mut sent = HeaderMap::new();
            propagator().inject_context(&context, &mut HeaderInjector::new(&mut sent));
            prop_assert!(sent.len() <= 3);
        }
    }
}
