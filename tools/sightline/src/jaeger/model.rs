//! A trace as this program works with it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// The id of a trace: 32 lower-case hex digits, not all zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(String);

impl TraceId {
    /// Its 32 hex digits.
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

/// Text that is no trace id.
#[derive(Debug, Error)]
#[error("{0:?} is no trace id: 32 hex digits, or a whole traceparent header")]
pub struct TraceIdError(String);

impl FromStr for TraceId {
    type Err = TraceIdError;

    /// Takes an id of 16 or 32 hex digits, or a `traceparent` as it stands in a header or a log.
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
            // Ids of 64 bits, from B3, are padded on the left.
            Ok(Self(format!("{:0>32}", digits.to_ascii_lowercase())))
        } else {
            Err(TraceIdError(text.to_owned()))
        }
    }
}

/// All stored spans of one trace, in no particular order.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Hex digits as stored.
    pub id: String,
    /// Its spans.
    pub spans: Vec<Span>,
}

impl Trace {
    /// The spans of one service.
    pub fn of_service(&self, service: &str) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| span.service == service)
    }

    /// The names of the services that took part, each once, sorted.
    #[must_use]
    pub fn services(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.spans.iter().map(|span| span.service.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// First start and last end, in nanoseconds since 1970; spans that do not say when are left out.
    #[must_use]
    pub fn bounds(&self) -> Option<(u64, u64)> {
        let dated = || self.spans.iter().filter(|span| span.start != 0);
        let start = dated().map(|span| span.start).min()?;
        let end = dated().map(|span| span.end.max(span.start)).max()?;
        Some((start, end))
    }
}

/// One stored span, with the resource and scope it came with.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Hex digits.
    pub trace_id: String,
    /// Hex digits.
    pub span_id: String,
    /// Hex digits; none for a root.
    pub parent_span_id: Option<String>,
    /// `service.name` of its resource; empty where it has none.
    pub service: String,
    /// Name of the instrumentation scope.
    pub scope: String,
    /// Span name.
    pub name: String,
    /// Role of the span in a call.
    pub kind: Kind,
    /// Nanoseconds since 1970; 0 where unknown.
    pub start: u64,
    /// Nanoseconds since 1970; before `start` where a clock was set back.
    pub end: u64,
    /// Attributes of the span.
    pub attributes: Vec<(String, Value)>,
    /// Attributes of the resource, shared by the spans that came with it.
    pub resource: Arc<Vec<(String, Value)>>,
    /// Events, in the order stored.
    pub events: Vec<Event>,
    /// Links to other spans.
    pub links: Vec<Link>,
    /// How it ended.
    pub status: Status,
}

impl Span {
    /// An attribute of the span.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.attributes, key)
    }

    /// An attribute of the span's resource.
    #[must_use]
    pub fn resource_attribute(&self, key: &str) -> Option<&Value> {
        find(&self.resource, key)
    }

    /// Whether its status is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self.status, Status::Error(_))
    }
}

fn find<'a>(attributes: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The role of a span in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Not said.
    #[default]
    Unspecified,
    /// Work inside a process.
    Internal,
    /// Answers a call.
    Server,
    /// Makes a call.
    Client,
    /// Hands a message over.
    Producer,
    /// Takes a message.
    Consumer,
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Status {
    /// Not said: no error known.
    #[default]
    Unset,
    /// Said to be right.
    Ok,
    /// An error, with its message (may be empty).
    Error(String),
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Event name, such as `exception`.
    pub name: String,
    /// Its attributes.
    pub attributes: Vec<(String, Value)>,
}

/// A reference to another span.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Hex digits.
    pub trace_id: String,
    /// Hex digits.
    pub span_id: String,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, or a form this program does not know.
    Empty,
    /// Text.
    String(String),
    /// Truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// Bytes, in base64 as they came.
    Bytes(String),
    /// A list.
    List(Vec<Value>),
    /// Names and values.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// The text, of a value that is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, of a value that is a whole number.
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
            Self::Bool(truth) => truth.fmt(f),
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
    fn an_id_is_taken_as_people_copy_it() {
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
    fn what_is_no_id_is_refused() {
        for text in
            ["", "0", "5b8e", &"0".repeat(32), &"g".repeat(32), &"a".repeat(33), "-", "00-aa-bb-01", "äää"]
        {
            text.parse::<TraceId>().unwrap_err();
        }
    }

    #[test]
    fn a_value_reads_well() {
        let value = Value::Map(vec![
            ("a".to_owned(), Value::List(vec![Value::Int(1), Value::Double(0.5)])),
            ("b".to_owned(), Value::Bool(true)),
        ]);
        assert_eq!(value.to_string(), "{a: [1, 0.5], b: true}");
    }
}
