//! The data model of a trace.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// A trace id: 32 lower-case hex digits that are not all zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(String);

impl TraceId {
    /// Returns the 32 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a trace id.
#[derive(Debug, Error)]
#[error("{0:?} is not a trace id: use 32 hex digits, or a whole traceparent header")]
pub struct TraceIdError(String);

impl FromStr for TraceId {
    type Err = TraceIdError;

    /// Parses an id of 16 or 32 hex digits, or a `traceparent` header. Ignores case and surrounding whitespace.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let digits = match trimmed.split('-').collect::<Vec<_>>().as_slice() {
            [id] | [_, id, _, _, ..] => *id,
            _ => "",
        };
        let fits = matches!(digits.len(), 16 | 32)
            && digits.bytes().all(|b| b.is_ascii_hexdigit())
            && digits.bytes().any(|b| b != b'0');
        if fits {
            // The B3 headers of Zipkin also allow ids of 64 bits. Such an id is padded with zeros on the left.
            Ok(Self(format!("{:0>32}", digits.to_ascii_lowercase())))
        } else {
            Err(TraceIdError(text.to_owned()))
        }
    }
}

/// All stored spans of one trace, in no particular order.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The trace id in hex digits, as stored.
    pub id: String,
    /// The spans of the trace.
    pub spans: Vec<Span>,
}

impl Trace {
    /// Returns the spans of one service.
    pub fn spans_of(&self, service: &str) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| span.service == service)
    }

    /// Returns the distinct names of the services with spans in this trace, sorted.
    #[must_use]
    pub fn services(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.spans.iter().map(|span| span.service.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns the earliest start and the latest end, in nanoseconds since 1970. Spans without a start time are
    /// ignored. Returns `None` if no span has a start time.
    #[must_use]
    pub fn bounds(&self) -> Option<(u64, u64)> {
        let dated = || self.spans.iter().filter(|span| span.start != 0);
        let start = dated().map(|span| span.start).min()?;
        let end = dated().map(|span| span.end.max(span.start)).max()?;
        Some((start, end))
    }
}

/// A stored span with its resource and instrumentation scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace id in hex digits.
    pub trace_id: String,
    /// The span id in hex digits.
    pub span_id: String,
    /// The id of the parent in hex digits; `None` for a root.
    pub parent_span_id: Option<String>,
    /// The `service.name` of the resource; empty if the resource does not have this attribute.
    pub service: String,
    /// The name of the instrumentation scope.
    pub scope: String,
    /// The name of the span.
    pub name: String,
    /// The role of the span in a call.
    pub kind: Kind,
    /// The start time in nanoseconds since 1970; 0 if unknown.
    pub start: u64,
    /// The end time in nanoseconds since 1970. This is before `start` if the clock was set back during the span.
    pub end: u64,
    /// The attributes of the span.
    pub attributes: Vec<(String, Value)>,
    /// The attributes of the resource, shared by the spans of the same export.
    pub resource: Arc<Vec<(String, Value)>>,
    /// The events of the span, in the order in which they are stored.
    pub events: Vec<Event>,
    /// The links to other spans.
    pub links: Vec<Link>,
    /// The status of the span.
    pub status: Status,
}

impl Span {
    /// Returns the value of an attribute of the span.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.attributes, key)
    }

    /// Returns the value of an attribute of the resource.
    #[must_use]
    pub fn resource_attribute(&self, key: &str) -> Option<&Value> {
        find(&self.resource, key)
    }

    /// Whether the status of the span is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self.status, Status::Error(_))
    }
}

fn find<'a>(attributes: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The role of a span in a call: OpenTelemetry's `SpanKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Not specified.
    #[default]
    Unspecified,
    /// Work inside a process.
    Internal,
    /// Handles a call.
    Server,
    /// Makes a call.
    Client,
    /// Sends a message.
    Producer,
    /// Receives or processes a message.
    Consumer,
}

/// The status of a span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Status {
    /// Not set: no error is known.
    #[default]
    Unset,
    /// Explicitly marked as successful.
    Ok,
    /// An error with its message, which may be empty.
    Error(String),
}

/// An event of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The time in nanoseconds since 1970.
    pub time: u64,
    /// The name of the event, such as `exception`.
    pub name: String,
    /// The attributes of the event.
    pub attributes: Vec<(String, Value)>,
}

/// A link to another span.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The trace id in hex digits.
    pub trace_id: String,
    /// The span id in hex digits.
    pub span_id: String,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value, or a value of an unknown type.
    Empty,
    /// Text.
    String(String),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Bytes in base64, as received.
    Bytes(String),
    /// A list.
    List(Vec<Value>),
    /// A list of names and values.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// Returns the text if the value is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number if the value is an integer.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("(empty)"),
            Self::String(text) | Self::Bytes(text) => f.write_str(text),
            Self::Bool(value) => value.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Double(number) => number.fmt(f),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (index, (name, value)) in entries.iter().enumerate() {
                    write!(f, "{}{name}: {value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_trace_ids_and_traceparent_headers() {
        let id = "5b8efff798038103d269b633813fc60c";
        for text in [id, &id.to_uppercase(), &format!(" {id}\n"), &format!("00-{id}-00f067aa0ba902b7-01")] {
            assert_eq!(text.parse::<TraceId>().unwrap().as_str(), id);
        }
        assert_eq!(
            "d269b633813fc60c".parse::<TraceId>().unwrap().as_str(),
            "0000000000000000d269b633813fc60c"
        );
    }

    #[test]
    fn rejects_invalid_trace_ids() {
        for text in
            ["", "0", "5b8e", &"0".repeat(32), &"g".repeat(32), &"a".repeat(33), "-", "00-aa-bb-01", "äää"]
        {
            text.parse::<TraceId>().unwrap_err();
        }
    }

    #[test]
    fn displays_nested_values() {
        let value = Value::Map(vec![
            ("a".to_owned(), Value::List(vec![Value::Int(1), Value::Double(0.5)])),
            ("b".to_owned(), Value::Bool(true)),
        ]);
        assert_eq!(value.to_string(), "{a: [1, 0.5], b: true}");
    }
}
