//! Attributes, events and links of a span, and the resources of a trace.

use std::collections::HashSet;
use std::sync::Arc;

use super::style::{Paint, Style};
use super::text::{duration, escape};
use crate::jaeger::{Span, Status, Trace, Value};

/// The maximum number of lines that are printed for an attribute value. This is enough for a stack trace.
const MAX_LINES: usize = 20;
/// The maximum number of characters that are printed for an attribute value. A one-megabyte value would fill the
/// terminal.
const MAX_CHARS: usize = 2_000;
/// The maximum number of resources to print. Each replica of a service has its own resource, and these resources differ
/// little.
const MAX_RESOURCES: usize = 20;

/// Returns the lines with the details of a span. Each line is indented by `indent` columns.
pub(super) fn span(span: &Span, indent: usize, style: Style) -> Vec<String> {
    let pad = " ".repeat(indent);
    let mut lines = Vec::new();
    if !span.scope.is_empty() {
        lines.push(format!("{pad}{}", style.paint(&format!("scope {}", escape(&span.scope)), Paint::Faint)));
    }
    if span.status == Status::Ok {
        lines.push(format!("{pad}{}", style.paint("status ok", Paint::Faint)));
    }
    lines.extend(attributes(&span.attributes, &pad, style));
    for event in &span.events {
        let after = duration(event.time.saturating_sub(span.start));
        lines.push(format!("{pad}• {} after {after}", style.paint(&escape(&event.name), Paint::Strong)));
        lines.extend(attributes(&event.attributes, &format!("{pad}  "), style));
    }
    for link in &span.links {
        lines.push(format!(
            "{pad}→ link to span {} of trace {}",
            escape(&link.span_id),
            escape(&link.trace_id)
        ));
    }
    lines
}

/// Returns the attributes of each distinct resource.
pub(super) fn resources(trace: &Trace, style: Style) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut shown: Vec<&[(String, Value)]> = Vec::new();
    let mut lines = Vec::new();
    for span in &trace.spans {
        // Jaeger repeats a resource for each batch, so equal resources can be at different memory addresses.
        // Comparing the addresses first is fast and skips most of the spans.
        if !seen.insert(Arc::as_ptr(&span.resource)) || shown.contains(&span.resource.as_slice()) {
            continue;
        }
        if shown.len() == MAX_RESOURCES {
            lines.push("… and more resources".to_owned());
            break;
        }
        shown.push(&span.resource);
        lines.push(String::new());
        lines.push(style.paint(&format!("Resource of {}", escape(&span.service)), Paint::Strong));
        lines.extend(attributes(&span.resource, "  ", style));
    }
    lines
}

fn attributes(attributes: &[(String, Value)], pad: &str, style: Style) -> Vec<String> {
    attributes.iter().flat_map(|(key, value)| attribute(key, &value.to_string(), pad, style)).collect()
}

/// Returns the lines of an attribute.
pub(super) fn attribute(key: &str, value: &str, pad: &str, style: Style) -> Vec<String> {
    let key = style.paint(&format!("{} =", escape(key)), Paint::Faint);
    let mut value = value_lines(value).into_iter();
    let first = value.next().unwrap_or_default();
    let first = if first.is_empty() { String::new() } else { format!(" {first}") };
    let mut lines = vec![format!("{pad}{key}{first}")];
    lines.extend(value.map(|line| format!("{pad}    {line}")));
    lines
}

/// Returns the lines of a value: at most [`MAX_LINES`] lines and [`MAX_CHARS`] characters. If the value is longer, an
/// additional line says so.
fn value_lines(text: &str) -> Vec<String> {
    let short: String = text.chars().take(MAX_CHARS).collect();
    let mut lines: Vec<String> =
        short.lines().take(MAX_LINES).map(|line| escape(line).into_owned()).collect();
    if short.len() < text.len() || short.lines().count() > MAX_LINES {
        lines.push(format!("… ({} characters in total)", text.chars().count()));
    }
    lines
}
