//! Attributes, events and links, below the span they belong to.

use std::collections::HashSet;
use std::sync::Arc;

use super::style::{Paint, Style};
use super::text::{duration, escape};
use crate::jaeger::{Span, Status, Trace, Value};

/// A stack trace is worth reading; a megabyte is not.
const MAX_LINES: usize = 20;
const MAX_CHARS: usize = 2_000;
/// Replicas have a resource each; past these they are all alike.
const MAX_RESOURCES: usize = 20;

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

/// Each resource once, as its spans share it.
pub(super) fn resources(trace: &Trace, style: Style) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut shown: Vec<&[(String, Value)]> = Vec::new();
    let mut lines = Vec::new();
    for span in &trace.spans {
        // Jaeger sends a resource again for each batch: first by address, which is quick, then by content.
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
    attributes
        .iter()
        .flat_map(|(key, value)| {
            let key = style.paint(&format!("{} =", escape(key)), Paint::Faint);
            let mut value = text(value).into_iter();
            let first = value.next().unwrap_or_default();
            let first = if first.is_empty() { String::new() } else { format!(" {first}") };
            std::iter::once(format!("{pad}{key}{first}"))
                .chain(value.map(move |line| format!("{pad}    {line}")))
        })
        .collect()
}

/// The value's lines, as many as are worth reading.
fn text(value: &Value) -> Vec<String> {
    let text = value.to_string();
    let short: String = text.chars().take(MAX_CHARS).collect();
    let mut lines: Vec<String> =
        short.lines().take(MAX_LINES).map(|line| escape(line).into_owned()).collect();
    if short.len() < text.len() || short.lines().count() > MAX_LINES {
        lines.push(format!("… ({} characters in all)", text.chars().count()));
    }
    lines
}
