//! The formats of the console's log lines. Each line has the trace ID and span ID of the current span, if there is a
//! current span.

use std::fmt::{self, Write as _};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// JSON: one object per line with `timestamp`, `level`, `target`, `message`, `trace_id`, `span_id` and then the event's
/// other fields.
pub(super) struct Json;

/// Text for people: time, level, target, message, `key=value` fields, `trace_id` and `span_id`.
pub(super) struct Text;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        line.insert("timestamp".into(), now().into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        line.insert("target".into(), event.metadata().target().into());
        let mut fields = Fields::of(event);
        line.insert("message".into(), std::mem::take(&mut fields.message).into());
        if let Some(span) = current_span() {
            line.insert("trace_id".into(), span.trace_id().to_string().into());
            line.insert("span_id".into(), span.span_id().to_string().into());
        }
        for (name, value) in fields.others {
            // A field must not replace one of the keys inserted above.
            line.entry(name).or_insert(value);
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let fields = Fields::of(event);
        write!(
            writer,
            "{} {:<5} {}: {}",
            now(),
            metadata.level().as_str(),
            metadata.target(),
            one_line(&fields.message)
        )?;
        for (name, value) in &fields.others {
            match value {
                Value::String(text) if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                    write!(writer, " {name}={text:?}")?;
                }
                Value::String(text) => write!(writer, " {name}={text}")?,
                other => write!(writer, " {name}={other}")?,
            }
        }
        if let Some(span) = current_span() {
            write!(writer, " trace_id={} span_id={}", span.trace_id(), span.span_id())?;
        }
        writeln!(writer)
    }
}

fn current_span() -> Option<SpanContext> {
    Context::map_current(|context| {
        let span = context.span().span_context().clone();
        span.is_valid().then_some(span)
    })
}

fn now() -> String {
    // Formatting fails only after the year 9999.
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// Escapes control characters, so that input from a client cannot forge a log line.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// The message of an event, and the other fields in the order in which they were recorded.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }

    fn add(&mut self, field: &Field, value: Value) {
        // Events that come from the `log` crate have additional fields, which only repeat the event's metadata.
        if field.name().starts_with("log.") {
            return;
        }
        match value {
            Value::String(text) if field.name() == "message" => self.message = text,
            value => self.others.push((field.name().to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{value:?}");
        self.add(field, text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, crate::error::chain(value).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// Runs `log` inside a span. Returns the formatted lines and the span context.
    fn format<F>(formatter: F, log: impl FnOnce()) -> (String, SpanContext)
    where
        F: FormatEvent<tracing_subscriber::Registry, tracing_subscriber::fmt::format::DefaultFields>
            + Send
            + Sync
            + 'static,
    {
        let lines = Lines::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).event_format(formatter);
        let provider = SdkTracerProvider::builder().build();
        let context = Context::current_with_span(provider.tracer("test").start("work"));
        let span = context.span().span_context().clone();
        let _inside = context.attach();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        (text, span)
    }

    #[test]
    fn json_line_has_the_ids_of_its_span_and_all_fields() {
        let (text, span) = format(Json, || {
            tracing::warn!(
                user.id = 7_u64,
                share = 0.5,
                ok = true,
                level = "forged",
                "two\nlines \"quoted\""
            );
        });
        assert_eq!(text.lines().count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["trace_id"], span.trace_id().to_string());
        assert_eq!(line["span_id"], span.span_id().to_string());
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "two\nlines \"quoted\"");
        assert_eq!((&line["user.id"], &line["share"], &line["ok"]), (&7.into(), &0.5.into(), &true.into()));
    }

    #[test]
    fn escapes_line_breaks_and_control_characters_in_text() {
        let (text, span) = format(Text, || {
            let input = "x\n2026-01-01T00:00:00Z INFO fake: line";
            tracing::info!(input, plain = "word", "message {input}\u{1b}[31m");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(
            text.contains("plain=word") && text.contains(&format!("trace_id={}", span.trace_id())),
            "{text}"
        );
    }
}
