//! The row of one span: a line, and a second line if the span has an error.

use super::style::{Paint, Style};
use super::text::{duration, escape, fit, width};
use super::tree::{Position, Row};
use crate::jaeger::{Kind, Span, Status, Trace};

const MIN_WIDTH: usize = 60;
const KIND: usize = 8;
const TIME: usize = 8;
/// The maximum width of a service name. A longer name is shortened.
pub(super) const MAX_SERVICE: usize = 22;
const MAX_BAR: usize = 48;

/// The widths of the columns, and the time range that the bars show.
#[derive(Debug)]
pub(super) struct Layout {
    service: usize,
    label: usize,
    bar: usize,
    start: u64,
    length: u64,
    services: Vec<String>,
}

impl Layout {
    /// With `records`, there is room for the lines of log records, whose times are in the first column.
    pub(super) fn new(trace: &Trace, columns: usize, records: bool) -> Self {
        let services: Vec<String> = trace.services().into_iter().map(str::to_owned).collect();
        let longest = services.iter().map(|name| width(&escape(name))).max().unwrap_or(0);
        let least = if records { TIME } else { "SERVICE".len() };
        let service = longest.clamp(least, MAX_SERVICE);
        // There are five gaps between the columns of the table. Each gap is one character wide.
        let rest = columns.max(MIN_WIDTH).saturating_sub(service + KIND + 2 * TIME + 5);
        let bar = (rest * 3 / 10).min(MAX_BAR);
        let (start, end) = trace.bounds().unwrap_or_default();
        Self { service, label: rest - bar, bar, start, length: end - start, services }
    }

    /// Returns the column at which the span names start.
    pub(super) fn indent(&self) -> usize {
        self.service + KIND + 2
    }

    /// Returns the number of columns from [`indent`](Self::indent) to the end of a line.
    pub(super) fn room(&self) -> usize {
        self.label + self.bar + 2 * TIME + 3
    }

    /// Returns the columns of a line that belongs to the row above it: a time and a kind in the place of the service
    /// and the kind. `at` is in nanoseconds since 1970, and is shown relative to the start of the trace.
    pub(super) fn margin(&self, at: u64, kind: &str, kind_paint: Paint, style: Style) -> String {
        let time = match at.checked_sub(self.start) {
            _ if at == 0 => "?".to_owned(),
            Some(after) => duration(after),
            None => format!("-{}", duration(self.start - at)),
        };
        let time = format!("{time:>0$}", self.service);
        let kind = fit(&escape(kind), KIND);
        format!("{} {} ", style.paint(&time, Paint::Faint), style.paint(&kind, kind_paint))
    }

    /// Returns the line with the titles of the columns.
    pub(super) fn titles(&self) -> String {
        let (service, kind, span) =
            (fit("SERVICE", self.service), fit("KIND", KIND), fit("SPAN", self.label));
        format!("{service} {kind} {span} {:>TIME$} {:>TIME$}", "START", "DURATION")
    }

    /// Returns the line of a span, and a second line with the error if the span has an error.
    pub(super) fn row(&self, row: &Row<'_>, style: Style) -> Vec<String> {
        let span = row.span;
        let paint =
            self.services.iter().position(|name| *name == span.service).map_or(Paint::Plain, Paint::Service);
        let (label_paint, bar_paint) =
            if span.is_error() { (Paint::Error, Paint::Error) } else { (Paint::Plain, paint) };
        let name = if span.service.is_empty() { "(unnamed)".into() } else { escape(&span.service) };
        let prefix = self.prefix(row);
        let label = fit(&escape(&span.name), self.label.saturating_sub(width(&prefix)));
        let mut lines = vec![format!(
            "{} {} {}{} {:>TIME$} {:>TIME$} {}",
            style.paint(&fit(&name, self.service), paint),
            style.paint(&fit(kind(span.kind), KIND), Paint::Faint),
            style.paint(&prefix, Paint::Faint),
            style.paint(&label, label_paint),
            self.offset(span),
            length(span),
            style.paint(&self.bar(span), bar_paint),
        )];
        if let Status::Error(message) = &span.status {
            let message = error_message(span, message);
            let text = fit(&format!("✗ {}", escape(&message)), self.room());
            lines.push(format!(
                "{}{}",
                " ".repeat(self.indent()),
                style.paint(text.trim_end(), Paint::Error)
            ));
        }
        lines
    }

    /// Returns the tree lines in front of a span name. If the tree lines would take more than half of the SPAN
    /// column, returns the depth as a number instead.
    fn prefix(&self, row: &Row<'_>) -> String {
        let branch = match row.position {
            Position::Root => "",
            Position::Orphan => "? ",
            Position::Child { last: true } => "└ ",
            Position::Child { last: false } => "├ ",
        };
        if row.depth > row.guides.len() + 1 || (row.guides.len() + 1) * 2 > self.label / 2 {
            return format!("{}… {branch}", row.depth);
        }
        let guides = row.guides.iter().map(|&continues| if continues { "│ " } else { "  " });
        guides.chain([branch]).collect()
    }

    fn offset(&self, span: &Span) -> String {
        if span.start == 0 { "?".to_owned() } else { duration(span.start.saturating_sub(self.start)) }
    }

    fn bar(&self, span: &Span) -> String {
        if span.start == 0 || self.bar == 0 {
            return String::new();
        }
        let cells = |time: u64| {
            let share = u128::from(time) * self.bar as u128 / u128::from(self.length.max(1));
            usize::try_from(share).unwrap_or(self.bar).min(self.bar)
        };
        let from = cells(span.start.saturating_sub(self.start)).min(self.bar - 1);
        let to = cells(span.end.saturating_sub(self.start)).max(from + 1);
        format!("{}{}", " ".repeat(from), "█".repeat(to - from))
    }
}

fn length(span: &Span) -> String {
    if span.start == 0 || span.end < span.start { "?".to_owned() } else { duration(span.end - span.start) }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "",
        Kind::Internal => "internal",
        Kind::Server => "server",
        Kind::Client => "client",
        Kind::Producer => "producer",
        Kind::Consumer => "consumer",
    }
}

/// Returns the status message of a failed span. If this message is empty, returns the message of the last exception. If
/// there is no exception, returns `error.type`.
fn error_message(span: &Span, message: &str) -> String {
    if !message.is_empty() {
        return message.to_owned();
    }
    let attributes = span.events.iter().rev().flat_map(|event| &event.attributes);
    let mut exceptions = attributes.filter(|(key, _)| key == "exception.message").map(|(_, value)| value);
    exceptions
        .next()
        .map(ToString::to_string)
        .or_else(|| span.attribute("error.type").map(|kind| format!("error.type {kind}")))
        .unwrap_or_else(|| "error without a message".to_owned())
}
