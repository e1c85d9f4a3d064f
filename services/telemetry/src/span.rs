//! Helpers on the span of the current context.

use std::error::Error;
use std::sync::OnceLock;

use opentelemetry::trace::{Span, SpanBuilder, SpanId, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::{ERROR_TYPE, EXCEPTION_MESSAGE, EXCEPTION_TYPE};

use crate::error::chain;
use crate::error_type::{self, ErrorType};
use crate::scope::Scope;

/// Records `error` on the span of the current context: an `exception` event with the error's type and its message
/// (its sources' too, each behind a colon), the status `Error`, and `error.type`.
///
/// Call it once, where the error is dealt with and its type is still known: of a `&dyn Error` no more than the
/// variant remains. A span that is not recorded costs nothing.
///
/// Source: <https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/>
pub fn record_error<E: Error + ?Sized>(error: &E) {
    // A copy, not `map_current`: that forbids attaching a context meanwhile, and `error` may do anything to tell itself.
    let context = Context::current();
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    let class = error_type::class(error);
    let message = chain(error);
    span.add_event(
        "exception",
        vec![KeyValue::new(EXCEPTION_TYPE, class.clone()), KeyValue::new(EXCEPTION_MESSAGE, message.clone())],
    );
    span.set_status(Status::error(message));
    match context.get::<Claim>().filter(|claim| claim.span == span.span_context().span_id()) {
        Some(claim) => {
            let _ = claim.error.set(class); // the first one recorded is the cause
        }
        None => span.set_attribute(KeyValue::new(ERROR_TYPE, class)),
    }
}

/// The trace id of the current context, as 32 hexadecimal digits; none outside a trace.
#[must_use]
pub fn trace_id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| context.trace_id().to_string())
    })
}

/// Says which span sets its `error.type` itself, at its end.
///
/// The SDK appends attributes without looking for one of the same name, so were [`record_error`] to set it as well
/// the span would carry it twice, which OTLP forbids.
struct Claim {
    span: SpanId,
    error: OnceLock<ErrorType>,
}

/// The span of one instrumented call, and the context to run the call in.
///
/// It is not ended when dropped: [`crate::call::InFlight`] sees to that.
#[derive(Debug)]
pub(crate) struct CallSpan {
    pub(crate) context: Context,
    recording: bool,
}

impl CallSpan {
    pub(crate) fn start(scope: &Scope, builder: SpanBuilder, parent: &Context) -> Self {
        let span = scope.tracer.build_with_context(builder, parent);
        let recording = span.is_recording();
        let id = span.span_context().span_id();
        let context = parent.with_span(span);
        // An unsampled span is spared the claim, and with it a copy of the context's values.
        let context =
            if recording { context.with_value(Claim { span: id, error: OnceLock::new() }) } else { context };
        Self { context, recording }
    }

    /// Ends the span with these further attributes, and as failed if there is an error type.
    pub(crate) fn end(&self, attributes: impl IntoIterator<Item = KeyValue>, failure: Option<ErrorType>) {
        let span = self.context.span();
        if self.recording {
            span.set_attributes(attributes);
            if failure.is_some() {
                // No description: the attributes tell the reason, and the message may name a person.
                span.set_status(Status::error(""));
            }
            // What the application recorded tells more than what a layer can see from outside.
            let recorded = self.context.get::<Claim>().and_then(|claim| claim.error.get().cloned());
            if let Some(error) = recorded.or(failure) {
                span.set_attribute(KeyValue::new(ERROR_TYPE, error));
            }
        }
        span.end();
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, io};

    use super::*;
    use crate::testing::{Recorder, attributes, attributes_and_failed, expected};
    use crate::text;

    #[derive(Debug)]
    struct Unreadable(io::Error);
    impl fmt::Display for Unreadable {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot read the order")
        }
    }
    impl Error for Unreadable {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    /// Records `error` on a span that is nobody's layer's, and returns the span.
    fn recorded(error: &Unreadable) -> opentelemetry_sdk::trace::SpanData {
        let recorder = Recorder::new();
        let span = recorder.scope().tracer.start("handler");
        let guard = Context::new().with_span(span).attach();
        record_error(error);
        drop(guard);
        recorder.span()
    }

    #[test]
    fn an_error_is_recorded_with_its_sources() {
        let span = recorded(&Unreadable(io::Error::other("disk on fire")));
        let class = "telemetry::span::tests::Unreadable";
        let message = "cannot read the order: disk on fire";
        assert_eq!(attributes_and_failed(&span), (expected([("error.type", class)]), true));
        assert_eq!(span.status, Status::error(message));
        assert_eq!(span.events[0].name, "exception");
        assert_eq!(
            attributes(span.events[0].attributes.clone()),
            expected([("exception.message", message), ("exception.type", class)])
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        let span = recorded(&Unreadable(io::Error::other("é".repeat(2000))));
        let Status::Error { description } = span.status else { panic!("{:?}", span.status) };
        assert!((text::MAX - 1..=text::MAX).contains(&description.len()));
    }

    #[test]
    fn outside_a_trace_there_is_nothing_to_record_on() {
        assert_eq!(trace_id(), None);
        record_error(&io::Error::other("nobody hears"));
    }
}
