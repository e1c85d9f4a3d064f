//! The shape of a trace as text: its spans, their parents and their errors.

use std::fmt::Write as _;

use sightline::jaeger::{Kind, Span, Trace};

/// Formats a trace with one line for each span. Child spans are indented below their parent and sorted by start time:
///
/// ```text
/// orders server GET /orders/{id}
///   orders internal read_order
///     orders client SELECT orders
/// ```
///
/// The line of a failed span ends with ` ! ` and the span's `error.type`. A span without a stored parent is not
/// indented. If a span without a stored parent has a parent ID, its line starts with `^`: the parent is a span of an
/// external caller, or the parent was lost.
#[must_use]
pub fn outline(trace: &Trace) -> String {
    let mut spans: Vec<&Span> = trace.spans.iter().collect();
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end), &span.span_id));
    let mut text = String::new();
    for root in spans.iter().filter(|span| parent(trace, span).is_none()) {
        write(&spans, root, 0, &mut text);
    }
    text
}

/// Returns the parent of a span, or `None` if the parent is not stored.
#[must_use]
pub fn parent<'a>(trace: &'a Trace, span: &Span) -> Option<&'a Span> {
    let id = span.parent_span_id.as_deref()?;
    trace.spans.iter().find(|other| other.span_id == id)
}

/// Finds a span by its [`title`], such as `users client SELECT users`.
#[must_use]
pub fn find<'a>(trace: &'a Trace, wanted: &str) -> Option<&'a Span> {
    trace.spans.iter().find(|span| title(span) == wanted)
}

/// Returns the service, kind and name of a span.
#[must_use]
pub fn title(span: &Span) -> String {
    let kind = match span.kind {
        Kind::Unspecified => "unspecified",
        Kind::Internal => "internal",
        Kind::Server => "server",
        Kind::Client => "client",
        Kind::Producer => "producer",
        Kind::Consumer => "consumer",
    };
    format!("{} {kind} {}", span.service, span.name)
}

fn write(spans: &[&Span], span: &Span, depth: usize, text: &mut String) {
    let marker = if depth == 0 && span.parent_span_id.is_some() { "^ " } else { "" };
    // Writing to a String cannot fail.
    let _ = write!(text, "{}{marker}{}", "  ".repeat(depth), title(span));
    if span.is_error() {
        let kind =
            span.attribute("error.type").map_or_else(|| "(no error.type)".to_owned(), ToString::to_string);
        let _ = write!(text, " ! {kind}");
    }
    text.push('\n');
    let children = spans.iter().filter(|child| child.parent_span_id.as_deref() == Some(&span.span_id));
    // The recursion always ends, even if the parents of some spans form a cycle: the recursion starts at a root, and no
    // root leads to a span of the cycle.
    for child in children {
        write(spans, child, depth + 1, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline::jaeger::decode;

    #[test]
    fn lists_children_below_their_parent_by_start_time() {
        let text = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},
            "scopeSpans":[{"spans":[
            {"traceId":"a","spanId":"3","parentSpanId":"1","name":"late","kind":3,"startTimeUnixNano":"30","endTimeUnixNano":"40"},
            {"traceId":"a","spanId":"2","parentSpanId":"1","name":"early","kind":1,"startTimeUnixNano":"20","endTimeUnixNano":"25"},
            {"traceId":"a","spanId":"1","parentSpanId":"9","name":"root","kind":2,"startTimeUnixNano":"10","endTimeUnixNano":"50",
             "status":{"code":2},"attributes":[{"key":"error.type","value":{"stringValue":"500"}}]}]}]}]}"#;
        let trace = decode(text).unwrap().remove(0);
        assert_eq!(outline(&trace), "^ s server root ! 500\n  s internal early\n  s client late\n");
        assert_eq!(
            find(&trace, "s client late").and_then(|span| parent(&trace, span)).map(title).as_deref(),
            Some("s server root")
        );
        assert_eq!(find(&trace, "s server late"), None);
    }
}
