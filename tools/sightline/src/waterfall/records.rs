//! The log records below the spans to which they belong.

use std::collections::HashMap;

use super::details::attribute;
use super::row::Layout;
use super::style::{Paint, Style};
use super::text::wrap;
use super::tree::Row;
use super::{count, text};
use crate::jaeger::Span;
use crate::log_lines::{body, paint};
use crate::stores::Record;

/// The maximum number of records to show below a span. A loop can write thousands.
const MAX_RECORDS: usize = 20;
/// The maximum number of lines for one record. With attributes, a record may have more.
const MAX_LINES: usize = 4;
/// The maximum number of lines for the message of a record that is shown with its attributes.
const MAX_MESSAGE_LINES: usize = 20;

/// The records that are not shown yet.
pub(super) struct Records<'a> {
    by_span: HashMap<&'a str, Vec<&'a Record>>,
    attributes: bool,
}

impl<'a> Records<'a> {
    pub(super) fn new(records: &'a [Record], attributes: bool) -> Self {
        let mut by_span: HashMap<_, Vec<_>> = HashMap::new();
        for record in records {
            by_span.entry(record.span_id()).or_default().push(record);
        }
        Self { by_span, attributes }
    }

    /// Returns the lines of the records of a span. If the span is stored twice, its records are only below the first
    /// one.
    pub(super) fn of_span(&mut self, span: &Span, layout: &Layout, style: Style) -> Vec<String> {
        let records = self.by_span.remove(span.span_id.as_str()).unwrap_or_default();
        self.lines(&records, false, layout, style)
    }

    /// Returns the lines of the records that belong to no span, or to a span that is not stored. `hidden` are the spans
    /// that are stored and not shown, and whose records are not shown either.
    pub(super) fn of_no_span(&mut self, hidden: &[Row<'_>], layout: &Layout, style: Style) -> Vec<String> {
        let hidden = hidden.iter().filter_map(|row| self.by_span.remove(row.span.span_id.as_str()));
        let hidden: usize = hidden.map(|records| records.len()).sum();
        let mut lines = Vec::new();
        if hidden > 0 {
            lines.push(format!(
                "… {}",
                count(hidden, "log record of these spans", "log records of these spans")
            ));
        }
        let mut rest: Vec<_> = self.by_span.drain().flat_map(|(_, records)| records).collect();
        if rest.is_empty() {
            return lines;
        }
        rest.sort_by_key(|record| record.time());
        lines.push(String::new());
        lines.push(style.paint("Log records without a stored span", Paint::Strong));
        lines.extend(self.lines(&rest, true, layout, style));
        lines
    }

    /// Returns the lines of records. With `service`, each record begins with the name of its service.
    fn lines(&self, records: &[&Record], service: bool, layout: &Layout, style: Style) -> Vec<String> {
        let shown = &records[..records.len().min(MAX_RECORDS)];
        let mut lines: Vec<_> =
            shown.iter().flat_map(|record| self.record(record, service, layout, style)).collect();
        if shown.len() < records.len() {
            let more = count(records.len() - shown.len(), "more log record", "more log records");
            lines.push(format!("{}… {more}", " ".repeat(layout.indent())));
        }
        lines
    }

    fn record(&self, record: &Record, service: bool, layout: &Layout, style: Style) -> Vec<String> {
        let service = if service { format!("{}: ", text::escape(record.service())) } else { String::new() };
        let (content, max_lines) = if self.attributes {
            (text::escape(record.message()).into_owned(), MAX_MESSAGE_LINES)
        } else {
            (body(record), MAX_LINES)
        };
        let margin = layout.margin(record.time(), record.severity(), paint(record), style);
        let pad = " ".repeat(layout.indent());
        let content = wrap(&format!("{service}{content}"), layout.room(), max_lines);
        let mut lines: Vec<_> = content
            .iter()
            .enumerate()
            .map(|(index, line)| format!("{}{line}", if index == 0 { &margin } else { &pad }))
            .collect();
        if lines.is_empty() {
            lines.push(margin);
        }
        if self.attributes {
            let pad = format!("{pad}  ");
            lines.extend(record.attributes().flat_map(|(key, value)| attribute(key, value, &pad, style)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::span;
    use super::super::{Options, render};
    use super::*;
    use crate::jaeger::Trace;
    use crate::stores::record_tests::record;

    /// Returns a record this many microseconds after the start of the trace of [`span`].
    fn at(micros: u64, span: &str, level: &str, message: &str, more: &[(&str, &str)]) -> Record {
        let time = format!("1970-01-01T00:00:01.{micros:06}Z");
        let fields = [
            ("_time", time.as_str()),
            ("_msg", message),
            ("severity_text", level),
            ("span_id", span),
            ("service.name", "shop"),
        ];
        record(&[&fields, more].concat())
    }

    fn trace() -> Trace {
        let spans = vec![span("a", None, 0, 10_000), span("b", Some("a"), 1_000, 4_000)];
        Trace { id: "t".to_owned(), spans }
    }

    #[track_caller]
    fn assert_rows(records: &[Record], options: Options<'_>, expected: &str) {
        let rendered = render(&trace(), &Options { width: 80, records, ..options });
        let (_, rows) = rendered.split_once("DURATION\n").unwrap();
        assert_eq!(rows, expected, "\n--- rendered\n{rows}--- expected\n{expected}---");
        assert!(rendered.lines().all(|line| text::width(line) <= 80), "{rendered}");
    }

    #[test]
    fn records_follow_their_span() {
        let long = "user-service sent an unexpected response: status 500, and this is more than one line has";
        let records = [
            at(1_330, "b", "WARN", "slow", &[("sku", "tea"), ("note", "two words")]),
            at(9_000, "a", "ERROR", "request failed", &[("error", long)]),
            at(9_500, "", "INFO", "cleaned up", &[]),
            at(9_600, "gone", "", "half \u{1b}[1mof a trace", &[]),
        ];
        assert_rows(
            &records,
            Options::default(),
            "\
shop     internal a                                   0 ns  10.0 ms ████████████
 9.00 ms ERROR    request failed error=\"user-service sent an unexpected
                  response: status 500, and this is more than one line has\"
shop     internal └ b                              1.00 ms  4.00 ms  █████
 1.33 ms WARN     slow note=\"two words\" sku=tea

Log records without a stored span
 9.50 ms INFO     shop: cleaned up
 9.60 ms          shop: half \\u{1b}[1mof a trace
",
        );
    }

    #[test]
    fn attributes_of_records_have_lines_of_their_own() {
        let mut early = at(0, "b", "INFO", "read", &[("sku", "tea"), ("host.name", "vm")]);
        assert_eq!(early.time(), 1_000_000_000);
        early =
            record(&[("_time", "1970-01-01T00:00:00.998Z"), ("span_id", "b"), ("sku", early.field("sku"))]);
        let options = Options { attributes: true, ..Options::default() };
        let rendered = render(&trace(), &Options { width: 80, records: &[early], ..options });
        assert!(rendered.contains("\n-2.00 ms\n                    sku = tea\n"), "{rendered}");
    }

    #[test]
    fn the_number_of_records_is_limited() {
        let records: Vec<_> = (0..25).map(|n| at(n, "b", "INFO", "again", &[])).collect();
        let rendered = render(&trace(), &Options { records: &records, ..Options::default() });
        assert_eq!(rendered.matches("again").count(), MAX_RECORDS);
        assert!(rendered.contains("… 5 more log records"), "{rendered}");
        let hidden = render(&trace(), &Options { records: &records, max_spans: 1, ..Options::default() });
        assert!(hidden.contains("… 25 log records of these spans"), "{hidden}");
    }
}
