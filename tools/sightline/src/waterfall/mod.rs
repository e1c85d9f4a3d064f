//! A trace as a waterfall of text: which service did what, when, for how long, and what went wrong.
//!
//! Pure: from a [`Trace`] and [`Options`] to a string, so that a test can hold it against the expected picture. It
//! draws whatever it is given (see `tree`) and its output is bounded.

mod details;
mod places;
mod row;
mod style;
pub mod text;
mod tree;

use time::OffsetDateTime;
use time::macros::format_description;

use self::row::Layout;
use self::style::{Paint, Style};
use self::tree::{Place, Row};
use crate::jaeger::{Span, Trace};

/// Errors shown of those that did not fit.
const HIDDEN_ERRORS: usize = 5;

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Columns to draw in; fewer than 60 are not enough and taken as 60.
    pub width: usize,
    /// ANSI colours.
    pub colour: bool,
    /// Attributes, events and links below each span, and each resource.
    pub attributes: bool,
    /// Spans to show; of the rest their number and first errors are told.
    pub max_spans: usize,
    /// The id of a span that is not stored because it is the caller's own: no reason to call its children orphans.
    pub caller: Option<&'a str>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { width: 100, colour: false, attributes: false, max_spans: 500, caller: None }
    }
}

/// Draws the trace; every line ends with a newline.
#[must_use]
pub fn render(trace: &Trace, options: &Options<'_>) -> String {
    let style = Style { colour: options.colour };
    let rows = tree::arrange(&trace.spans, options.caller);
    let layout = Layout::of(trace, options.width);
    let mut lines = heading(trace, &rows, style);
    lines.push(String::new());
    lines.push(style.paint(&layout.titles(), Paint::Faint));

    let (shown, hidden) = rows.split_at(rows.len().min(options.max_spans));
    for row in shown {
        lines.extend(layout.row(row, style));
        if options.attributes {
            lines.extend(details::span(row.span, layout.indent(), style));
        }
    }
    lines.extend(rest(hidden, shown.len(), &layout, style));
    lines.extend(places::lines(trace, style));
    if options.attributes {
        lines.extend(details::resources(trace, style));
    }
    lines.extend(remarks(&rows, style));
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
        facts.extend(started(start));
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

fn started(nanoseconds: u64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds)).ok()?;
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3] UTC"))
        .ok()
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// What did not fit, and of it the errors, which are what one looks for.
fn rest(hidden: &[Row<'_>], shown: usize, layout: &Layout, style: Style) -> Vec<String> {
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
    for row in errors.iter().take(HIDDEN_ERRORS) {
        let alone = Row { span: row.span, depth: 0, lines: Vec::new(), place: Place::Root };
        lines.extend(layout.row(&alone, style));
    }
    if errors.len() > HIDDEN_ERRORS {
        lines.push(format!("… and {}", count(errors.len() - HIDDEN_ERRORS, "more error", "more errors")));
    }
    lines
}

/// What a reader should know about the data itself.
fn remarks(rows: &[Row<'_>], style: Style) -> Vec<String> {
    let orphans = rows.iter().filter(|row| row.place == Place::Orphan).count();
    let mut lines = Vec::new();
    if orphans > 0 {
        lines.push(format!(
            "{} (marked ?) under a parent that is not stored: not arrived yet, dropped,",
            count(orphans, "span", "spans")
        ));
        lines.push("or a caller outside that sends no spans here.".to_owned());
    }
    let early = early_children(rows);
    if early > 0 {
        let begin = if early == 1 { "begins" } else { "begin" };
        lines.push(format!(
            "{} {begin} before their parent: clocks of two hosts differ.",
            count(early, "span", "spans")
        ));
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
