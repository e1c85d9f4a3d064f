//! A propagator for B3, the header format of Zipkin and older service meshes. The existing crate for B3 is deprecated,
//! and a dependency on that crate would prevent updates of the SDK.
//!
//! Sources: <https://github.com/openzipkin/b3-propagation>,
//! <https://opentelemetry.io/docs/specs/otel/context/api-propagators/#b3-requirements>

use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

const SINGLE: &str = "b3";
const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// A propagator that writes one of the two forms of B3. It reads both forms and prefers the single header.
#[derive(Clone, Copy, Debug)]
pub(super) enum B3 {
    /// `b3: TRACE-SPAN-SAMPLED`.
    Single,
    /// `x-b3-traceid`, `x-b3-spanid`, and `x-b3-sampled` or `x-b3-flags`.
    Multi,
}

/// A context value for the debug flag. A caller sets this flag if the trace must be sampled in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Debug;

/// The span context and the debug flag from the headers. Headers that contain a sampling decision but no trace ID and
/// span ID are ignored.
struct Extracted {
    span: SpanContext,
    debug: bool,
}

impl TextMapPropagator for B3 {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let span = context.span().span_context().clone();
        if !span.is_valid() {
            return;
        }
        let debug = context.get::<Debug>().is_some();
        let sampled = if span.is_sampled() { "1" } else { "0" };
        match self {
            Self::Single => {
                let sampled = if debug { "d" } else { sampled };
                injector.set(SINGLE, format!("{}-{}-{sampled}", span.trace_id(), span.span_id()));
            }
            Self::Multi => {
                injector.set(TRACE_ID, span.trace_id().to_string());
                injector.set(SPAN_ID, span.span_id().to_string());
                // The debug flag implies that the trace is sampled, so `x-b3-sampled` is sent only without the flag.
                if debug {
                    injector.set(FLAGS, "1".into());
                } else {
                    injector.set(SAMPLED, sampled.into());
                }
            }
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        match extractor.get(SINGLE).and_then(single).or_else(|| multi(extractor)) {
            None => context.clone(),
            Some(Extracted { span, debug }) => {
                let context = context.with_remote_span_context(span);
                if debug { context.with_value(Debug) } else { context }
            }
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(fields(*self))
    }
}

fn fields(form: B3) -> &'static [String] {
    static SINGLE_FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| [SINGLE.to_owned()]);
    static MULTI_FIELDS: LazyLock<[String; 4]> =
        LazyLock::new(|| [TRACE_ID, SPAN_ID, SAMPLED, FLAGS].map(str::to_owned));
    match form {
        B3::Single => &*SINGLE_FIELDS,
        B3::Multi => &*MULTI_FIELDS,
    }
}

fn single(header: &str) -> Option<Extracted> {
    let mut parts = header.split('-');
    let (trace, span, state) = (parts.next()?, parts.next()?, parts.next());
    parse(trace, span, state, state == Some("d"))
}

fn multi(extractor: &dyn Extractor) -> Option<Extracted> {
    let debug = extractor.get(FLAGS) == Some("1");
    parse(extractor.get(TRACE_ID)?, extractor.get(SPAN_ID)?, extractor.get(SAMPLED), debug)
}

fn parse(trace: &str, span: &str, sampled: Option<&str>, debug: bool) -> Option<Extracted> {
    // The trace IDs of older senders have 64 bits instead of 128.
    if !(is_hex(trace, 32) || is_hex(trace, 16)) || !is_hex(span, 16) {
        return None;
    }
    // If the headers contain no sampling decision, B3 leaves the decision to the receiver. The OpenTelemetry API cannot
    // express that, so the trace counts as not sampled, as in other implementations.
    let flags = TraceFlags::default().with_sampled(debug || matches!(sampled, Some("1" | "true")));
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanContext::new(trace, SpanId::from_hex(span).ok()?, flags, true, TraceState::default());
    span.is_valid().then_some(Extracted { span, debug })
}

/// Whether `text` consists of exactly `digits` hexadecimal digits. The parser `from_hex` would also accept a sign or
/// fewer digits.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    type Headers = HashMap<String, String>;

    const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
    const SPAN: &str = "a2fb4a1d1a96d312";

    fn headers<const N: usize>(pairs: [(&str, &str); N]) -> Headers {
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn read(headers: &Headers) -> SpanContext {
        B3::Single.extract_with_context(&Context::new(), headers).span().span_context().clone()
    }

    #[test]
    fn reads_both_forms() {
        for (given, sampled) in [
            (headers([("b3", &format!("{TRACE}-{SPAN}-1"))]), true),
            (headers([("b3", &format!("{TRACE}-{SPAN}-d-05e3ac9a4f6e3b90"))]), true),
            (headers([("b3", &format!("{TRACE}-{SPAN}-0"))]), false),
            (headers([("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "1")]), true),
            (headers([("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-flags", "1")]), true),
            (headers([("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)]), false),
        ] {
            let span = read(&given);
            assert_eq!(span.trace_id().to_string(), TRACE, "{given:?}");
            assert_eq!(span.span_id().to_string(), SPAN, "{given:?}");
            assert_eq!(span.is_sampled(), sampled, "{given:?}");
            assert!(span.is_remote());
        }
    }

    #[test]
    fn pads_a_short_trace_id_with_zeros() {
        let span = read(&headers([("b3", &format!("48485a3953bb6124-{SPAN}-1"))]));
        assert_eq!(span.trace_id().to_string(), "000000000000000048485a3953bb6124");
    }

    #[test]
    fn writes_what_it_has_read_in_either_form() {
        for (state, single, multi) in
            [("1", "1", (SAMPLED, "1")), ("0", "0", (SAMPLED, "0")), ("d", "d", (FLAGS, "1"))]
        {
            let given = headers([("b3", &format!("{TRACE}-{SPAN}-{state}"))]);
            let context = B3::Single.extract_with_context(&Context::new(), &given);
            let (mut single_headers, mut multi_headers) = (Headers::new(), Headers::new());
            B3::Single.inject_context(&context, &mut single_headers);
            B3::Multi.inject_context(&context, &mut multi_headers);
            assert_eq!(single_headers, headers([("b3", &format!("{TRACE}-{SPAN}-{single}"))]));
            assert_eq!(multi_headers, headers([(TRACE_ID, TRACE), (SPAN_ID, SPAN), multi]));
        }
    }

    proptest! {
        #[test]
        fn reads_any_header_without_a_panic_and_returns_only_valid_contexts(header in "\\PC{0,80}", trace in "\\PC{0,40}") {
            let span = read(&headers([("b3", header.as_str()), ("x-b3-traceid", trace.as_str()), ("x-b3-spanid", SPAN)]));
            prop_assert!(span.is_valid() || span == SpanContext::empty_context());
        }
    }
}
