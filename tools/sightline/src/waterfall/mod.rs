//! Renders a trace as a waterfall of text: services, spans, start times, durations, errors and log records.
//!
//! [`render`] is a pure function from a [`Trace`] and [`Options`] to a string, so tests can compare its whole output.
//! It accepts any spans, even if they do not form a tree. The length of its output is limited.

mod details;
mod pods;
mod records;
mod row;
pub(crate) mod style;
pub mod text;
mod tree;

use time::OffsetDateTime;
use time::macros::format_description;

use self::records::Records;
use self::row::Layout;
use self::style::{Paint, Style};
use self::tree::{Position, Row};
use crate::jaeger::{Span, Trace};
use crate::stores::Record;

/// The maximum number of failed spans to show in addition to the first [`Options::max_spans`] spans.
const MAX_HIDDEN_ERRORS: usize = 5;

/// Options of [`render`].
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The number of columns to use. A value below 60 counts as 60.
    pub width: usize,
    /// Whether to use ANSI colours.
    pub colour: bool,
    /// Whether to show attributes, events and links below each span, and all resources.
    pub attributes: bool,
    /// The maximum number of spans to show. If there are more spans, the output contains the number of the
    /// other spans, and the first failed spans among them.
    pub max_spans: usize,
    /// The id of the caller's span, which is not stored. The children of this span are shown as roots and not as
    /// orphans.
    pub caller: Option<&'a str>,
    /// The log records of the trace, sorted by time. Each record is shown below its span.
    pub records: &'a [Record],
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { width: 100, colour: false, attributes: false, max_spans: 500, caller: None, records: &[] }
    }
}

/// Renders the trace. Every line ends with a newline.
#[must_use]
pub fn render(trace: &Trace, options: &Options<'_>) -> String {
    let style = Style { colour: options.colour };
    let rows = tree::arrange(&trace.spans, options.caller);
    let layout = Layout::new(trace, options.width, !options.records.is_empty());
    let mut records = Records::new(options.records, options.attributes);
    let mut lines = heading(trace, &rows, style);
    lines.push(String::new());
    lines.push(style.paint(&layout.titles(), Paint::Faint));

    let (shown, hidden) = rows.split_at(rows.len().min(options.max_spans));
    for row in shown {
        lines.extend(layout.row(row, style));
        if options.attributes {
            lines.extend(details::span(row.span, layout.indent(), style));
        }
        lines.extend(records.of_span(row.span, &layout, style));
    }
    lines.extend(hidden_summary(hidden, shown.len(), &layout, style));
    lines.extend(records.of_no_span(hidden, &layout, style));
    lines.extend(pods::lines(trace, style));
    if options.attributes {
        lines.extend(details::resources(trace, style));
    }
    lines.extend(notes(&rows, style));
    let mut text = String::new();
    for line in lines {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn heading(trace: &Trace, rows: &[Row<'_>], style: Style) -> Vec<String> {
    let root = rows.first().map_or("", |row| &row.span.name);
    let errors = trace.spans.iter().filter(|span| span.is_error()).count();
    let mut facts = Vec::new();
    if let Some((start, end)) = trace.bounds() {
        facts.extend(format_time(start));
        facts.push(text::duration(end - start));
    }
    facts.push(count(trace.spans.len(), "span", "spans"));
    facts.push(count(trace.services().len(), "service", "services"));
    let facts = facts.join(" · ");
    let errors = match errors {
        0 => " · no errors".to_owned(),
        n => format!(" · {}", style.paint(&count(n, "error", "errors"), Paint::Error)),
    };
    vec![
        style.paint(&format!("Trace {}  {}", text::escape(&trace.id), text::escape(root)), Paint::Strong),
        format!("{facts}{errors}"),
    ]
}

fn format_time(nanoseconds: u64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds)).ok()?;
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3] UTC"))
        .ok()
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Summarizes the spans that are not shown, and shows the first failed spans among them.
fn hidden_summary(hidden: &[Row<'_>], shown: usize, layout: &Layout, style: Style) -> Vec<String> {
    if hidden.is_empty() {
        return Vec::new();
    }
    let errors: Vec<_> = hidden.iter().filter(|row| row.span.is_error()).collect();
    let more = count(hidden.len(), "more span", "more spans");
    let mut lines = vec![format!(
        "… {more}, {} of them with an error (--spans {} shows all)",
        errors.len(),
        shown + hidden.len()
    )];
    for row in errors.iter().take(MAX_HIDDEN_ERRORS) {
        let without_tree = Row { span: row.span, depth: 0, guides: Vec::new(), position: Position::Root };
        lines.extend(layout.row(&without_tree, style));
    }
    if errors.len() > MAX_HIDDEN_ERRORS {
        lines.push(format!("… and {}", count(errors.len() - MAX_HIDDEN_ERRORS, "more error", "more errors")));
    }
    lines
}

/// Returns notes about missing spans and about clocks that differ.
fn notes(rows: &[Row<'_>], style: Style) -> Vec<String> {
    let orphans = rows.iter().filter(|row| row.position == Position::Orphan).count();
    let mut lines = Vec::new();
    if orphans > 0 {
        lines.push(format!(
            "{} (marked ?) with a parent that is not stored: the parent has not arrived yet, was dropped,",
            count(orphans, "span", "spans")
        ));
        lines.push("or belongs to a process that does not send spans to this Jaeger.".to_owned());
    }
    let early = early_children(rows);
    if early > 0 {
        let starts = if early == 1 { "starts before its parent" } else { "start before their parents" };
        lines.push(format!("{} {starts}: the clocks of two hosts differ.", count(early, "span", "spans")));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines.iter().map(|line| style.paint(line, Paint::Faint)).collect()
}

fn early_children(rows: &[Row<'_>]) -> usize {
    let starts: std::collections::HashMap<&str, &Span> =
        rows.iter().map(|row| (row.span.span_id.as_str(), row.span)).collect();
    let is_early = |span: &Span| {
        let parent = span.parent_span_id.as_deref().and_then(|id| starts.get(id));
        parent.is_some_and(|parent| span.start != 0 && span.start < parent.start)
    };
    rows.iter().filter(|row| is_early(row.span)).count()
}

#[cfg(test)]
pub(crate) mod tests;
