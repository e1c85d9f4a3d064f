//! Functions for the span of the current context: recording an error, and reading the trace ID.
//!
//! The current span is the innermost span around the running code. A layer, a database call or a function with
//! `#[tracing::instrument]` starts it.
//!
//! ```
//! use sightline_telemetry::span::record_error;
//!
//! #[tracing::instrument]
//! fn read_config() -> Result<String, std::io::Error> {
//!     std::fs::read_to_string("config.toml").inspect_err(record_error)
//! }
//! ```
//!
//! The functions implement the sections [recording errors on spans] and [exceptions on spans] of the OpenTelemetry
//! semantic conventions.
//!
//! [recording errors on spans]: https://opentelemetry.io/docs/specs/semconv/general/recording-errors/#recording-errors-on-spans
//! [exceptions on spans]: https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/

use std::error::Error;
use std::sync::OnceLock;

use opentelemetry::trace::{Span, SpanBuilder, SpanId, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::{ERROR_TYPE, EXCEPTION_MESSAGE, EXCEPTION_TYPE};

use crate::error::chain;
use crate::instrument::error_type::{self, ErrorType};
use crate::signals::scope::Scope;

/// Records `error` on the current span: adds an `exception` event, sets the status to `Error`, and sets the attribute
/// `error.type`.
///
/// The event and the status contain the error's message, followed by the messages of the error's sources, separated by
/// colons. `error.type` is the error's type and variant, such as `sqlx_core::error::Error::PoolTimedOut`.
///
/// Call this function once for each error, where the code handles the error. Pass an error of a concrete type: for a
/// `&dyn Error`, only the variant is known and not the type. If the span is not recorded, the function does nothing.
///
/// ```
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("order {0} does not exist")]
/// # struct UnknownOrder(i64);
/// # fn find(_: i64) -> Option<String> { None }
/// fn read_order(id: i64) -> Result<String, UnknownOrder> {
///     find(id).ok_or(UnknownOrder(id)).inspect_err(sightline_telemetry::span::record_error)
/// }
/// ```
pub fn record_error<E: Error + ?Sized>(error: &E) {
    // The closure of `map_current` must not attach a context, but the `Display` or `Debug` implementation of `error`
    // might attach one. So this function does not use `map_current`.
    let context = Context::current();
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    let error_type = error_type::of_error(error);
    let message = chain(error);
    span.add_event(
        "exception",
        vec![
            KeyValue::new(EXCEPTION_TYPE, error_type.clone()),
            KeyValue::new(EXCEPTION_MESSAGE, message.clone()),
        ],
    );
    span.set_status(Status::error(message));
    match context.get::<ErrorSlot>().filter(|slot| slot.span == span.span_context().span_id()) {
        Some(slot) => {
            let _ = slot.error.set(error_type); // only the first error sets it, because that error is the cause
        }
        None => span.set_attribute(KeyValue::new(ERROR_TYPE, error_type)),
    }
}

/// The trace ID of the current context, as 32 lower-case hexadecimal digits. Returns `None` outside a trace.
///
/// ```
/// assert_eq!(sightline_telemetry::span::trace_id(), None);
/// ```
#[must_use]
pub fn trace_id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| context.trace_id().to_string())
    })
}

/// A context value that stores the error type of a [`CallSpan`] until the span ends.
///
/// The SDK appends an attribute even if the span already has one with the same name. A [`CallSpan`] sets `error.type`
/// when it ends. If [`record_error`] also set `error.type`, the span would have this attribute twice, which OTLP
/// forbids. So [`record_error`] stores the error type here.
struct ErrorSlot {
    span: SpanId,
    error: OnceLock<ErrorType>,
}

/// The span of one instrumented call, and the context to run the call in.
///
/// Dropping this value does not end the span. [`InFlight`](crate::instrument::call::InFlight) ends the span.
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
        // A span that is not recorded needs no slot. Leaving the slot out saves a copy of the context's values.
        let context = if recording {
            context.with_value(ErrorSlot { span: id, error: OnceLock::new() })
        } else {
            context
        };
        Self { context, recording }
    }

    /// Whether the span is recorded. Attributes of another span have no effect.
    pub(crate) fn is_recording(&self) -> bool {
        self.recording
    }

    /// Adds these attributes. None of them may be on the span already, because the SDK would add it a second time.
    pub(crate) fn set_attributes(&self, attributes: impl IntoIterator<Item = KeyValue>) {
        self.context.span().set_attributes(attributes);
    }

    /// Adds these attributes and ends the span. If `failure` is an error type, marks the span as failed.
    pub(crate) fn end(&self, attributes: impl IntoIterator<Item = KeyValue>, failure: Option<ErrorType>) {
        let span = self.context.span();
        if self.recording {
            span.set_attributes(attributes);
            if failure.is_some() {
                // The description stays empty. The attributes already contain the reason, and an error message can
                // contain personal data.
                span.set_status(Status::error(""));
            }
            // The error that the application recorded is more specific than what a layer can see.
            let recorded = self.context.get::<ErrorSlot>().and_then(|slot| slot.error.get().cloned());
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

    /// Records `error` on a span that no layer has started, and returns the span.
    fn span_with(error: &Unreadable) -> opentelemetry_sdk::trace::SpanData {
        let recorder = Recorder::new();
        let span = recorder.scope().tracer.start("handler");
        let guard = Context::new().with_span(span).attach();
        record_error(error);
        drop(guard);
        recorder.span()
    }

    #[test]
    fn records_an_error_with_its_sources() {
        let span = span_with(&Unreadable(io::Error::other("disk on fire")));
        let error_type = "sightline_telemetry::instrument::span::tests::Unreadable";
        let message = "cannot read the order: disk on fire";
        assert_eq!(attributes_and_failed(&span), (expected([("error.type", error_type)]), true));
        assert_eq!(span.status, Status::error(message));
        assert_eq!(span.events[0].name, "exception");
        assert_eq!(
            attributes(span.events[0].attributes.clone()),
            expected([("exception.message", message), ("exception.type", error_type)])
        );
    }

    #[test]
    fn shortens_a_long_message() {
        let span = span_with(&Unreadable(io::Error::other("é".repeat(2000))));
        let Status::Error { description } = span.status else { panic!("{:?}", span.status) };
        assert!((text::MAX - 1..=text::MAX).contains(&description.len()));
    }

    #[test]
    fn does_nothing_outside_a_trace() {
        assert_eq!(trace_id(), None);
        record_error(&io::Error::other("not recorded"));
    }
}
