//! Formats log records for a terminal.

use time::OffsetDateTime;
use time::macros::format_description;

use crate::stores::{Level, Record};
use crate::waterfall::style::{Paint, Style};
use crate::waterfall::text::escape;

/// Returns a record as one line: time, level, service, message, attributes and trace id. `trace_id` is whether to
/// include the trace id. Control characters are escaped.
#[must_use]
pub fn line(record: &Record, trace_id: bool, colour: bool) -> String {
    let style = Style { colour };
    let level = format!("{:<5}", escape(record.severity()));
    let service = if record.service().is_empty() { "(unnamed)".into() } else { escape(record.service()) };
    let mut line = format!(
        "{} {} {} {}",
        style.paint(&time(record), Paint::Faint),
        style.paint(&level, paint(record)),
        style.paint(&service, Paint::Strong),
        body(record)
    );
    if trace_id && !record.trace_id().is_empty() {
        line.push_str(&style.paint(&format!(" trace_id={}", escape(record.trace_id())), Paint::Faint));
    }
    line
}

/// Returns the message and the attributes, such as `request failed error="no route" attempt=2`.
pub(crate) fn body(record: &Record) -> String {
    let mut text = escape(record.message()).into_owned();
    for (key, value) in record.attributes() {
        let value = escape(value);
        text.push(' ');
        text.push_str(&escape(key));
        text.push('=');
        if value.is_empty() || value.contains([' ', '"', '=']) {
            text.push('"');
            text.push_str(&value.replace('"', "\\\""));
            text.push('"');
        } else {
            text.push_str(&value);
        }
    }
    text
}

/// Returns the role of a record's level, which determines its colour.
pub(crate) fn paint(record: &Record) -> Paint {
    match record.level() {
        Some(Level::Error | Level::Fatal) => Paint::Error,
        Some(Level::Warn) => Paint::Warning,
        Some(Level::Trace | Level::Debug) => Paint::Faint,
        Some(Level::Info) | None => Paint::Plain,
    }
}

fn time(record: &Record) -> String {
    let nanoseconds = i128::from(record.time());
    let format = format_description!("[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok().filter(|_| nanoseconds != 0);
    at.and_then(|at| at.format(format).ok()).unwrap_or_else(|| "?".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::record_tests::record;

    #[test]
    fn a_record_is_one_line() {
        let record = record(&[
            ("_time", "2026-11-28T14:17:44.955480554Z"),
            ("_msg", "request\nfailed"),
            ("severity_text", "ERROR"),
            ("service.name", "users"),
            ("error", "no \"route\""),
            ("attempt", "2"),
            ("empty", ""),
            ("trace_id", "2c84"),
        ]);
        let expected =
            "11-28 14:17:44.955 ERROR users request\\nfailed attempt=2 empty=\"\" error=\"no \\\"route\\\"\"";
        assert_eq!(line(&record, false, false), expected);
        assert_eq!(line(&record, true, false), format!("{expected} trace_id=2c84"));
        assert!(line(&record, false, true).contains("\x1b[31mERROR\x1b[0m"));
    }

    #[test]
    fn escapes_control_sequences() {
        let hostile = record(&[
            ("_msg", "\x1b[2J"),
            ("severity_text", "\x1b[1m"),
            ("service.name", "\x1b[3m"),
            ("k\x1b[4m", "v\x1b[5m\u{202e}"),
            ("trace_id", "\x1b[6m"),
        ]);
        let text = line(&hostile, true, false);
        assert!(text.starts_with('?') && !text.contains(['\x1b', '\u{202e}']), "{text:?}");
    }
}
