//! A stored log record.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::logs::Level;

/// The first parts of the names of resource attributes. `VictoriaLogs` stores the attributes of a resource as fields of
/// each record, so only their names distinguish them from the attributes of the record. The scope is stored in the same
/// way.
const RESOURCE: [&str; 14] = [
    "browser.",
    "cloud.",
    "container.",
    "deployment.",
    "device.",
    "faas.",
    "host.",
    "k8s.",
    "os.",
    "process.",
    "scope.",
    "service.",
    "telemetry.",
    "webengine.",
];

/// Fields that have a place of their own in the output, or that say nothing to a person.
const OTHER: [&str; 8] = [
    "dropped_attributes_count",
    "event_name",
    "flags",
    "severity_number",
    "severity_text",
    "span_id",
    "trace_flags",
    "trace_id",
];

/// A stored log record: the names and values of its fields. `VictoriaLogs` stores each value as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    fields: BTreeMap<String, String>,
}

impl Record {
    /// Reads a record from a line of JSON. Fails if the line is not a JSON object.
    pub fn parse(line: &str) -> serde_json::Result<Self> {
        let fields: BTreeMap<String, Json> = serde_json::from_str(line)?;
        let text = |value: Json| match value {
            Json::String(text) => text,
            other => other.to_string(),
        };
        Ok(Self { fields: fields.into_iter().map(|(name, value)| (name, text(value))).collect() })
    }

    /// Returns the record as a line of JSON, with all fields as they are stored.
    #[must_use]
    pub fn to_json(&self) -> String {
        let fields = self.fields.iter().map(|(name, value)| (name.clone(), Json::from(value.as_str())));
        Json::Object(fields.collect()).to_string()
    }

    /// Returns a field. Returns an empty text if the record does not have the field, which means the same to
    /// `VictoriaLogs`.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Returns the time in nanoseconds since 1970; 0 if unknown.
    #[must_use]
    pub fn time(&self) -> u64 {
        let time = OffsetDateTime::parse(self.field("_time"), &Rfc3339);
        time.ok().and_then(|time| u64::try_from(time.unix_timestamp_nanos()).ok()).unwrap_or(0)
    }

    /// Returns the message.
    #[must_use]
    pub fn message(&self) -> &str {
        self.field("_msg")
    }

    /// Returns the `service.name` of the resource.
    #[must_use]
    pub fn service(&self) -> &str {
        self.field("service.name")
    }

    /// Returns the id of the trace in hex digits; empty for a record without a trace.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.field("trace_id")
    }

    /// Returns the id of the span in hex digits; empty for a record without a span.
    #[must_use]
    pub fn span_id(&self) -> &str {
        self.field("span_id")
    }

    /// Returns the level of the severity number, or of the severity text if there is no number. Returns `None` if
    /// neither is known.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        let number = self.field("severity_number").parse().ok().and_then(Level::of_severity);
        number.or_else(|| self.field("severity_text").parse().ok())
    }

    /// Returns the text to show for the level: that of the record, or the name of its level.
    #[must_use]
    pub fn severity(&self) -> &str {
        let text = self.field("severity_text");
        if text.is_empty() { self.level().map_or("", Level::name) } else { text }
    }

    /// Returns the attributes of the record, without those of its resource and its scope.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let shown = |name: &str| {
            !name.starts_with('_')
                && !OTHER.contains(&name)
                && !RESOURCE.iter().any(|prefix| name.starts_with(prefix))
        };
        // The crate `tracing` names an event after its line in the source, which a reader does not need. A name that
        // somebody has chosen is shown.
        let event = self.field("event_name");
        let event = (!event.is_empty() && !event.starts_with("event ")).then_some(("event_name", event));
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        event.into_iter().chain(fields.filter(move |(name, _)| shown(name)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a record with these fields.
    pub(crate) fn record(fields: &[(&str, &str)]) -> Record {
        Record { fields: fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// A shortened record from `VictoriaLogs` 1.52.
    const STORED: &str = r#"{"_msg":"request failed","_stream":"{service.name=\"user-service\"}",
        "_stream_id":"00","_time":"2026-11-28T14:17:44.955480554Z","error":"user 999 fails",
        "event_name":"event services/user-service/src/error.rs:38","host.name":"vm","process.pid":"20258",
        "scope.name":"user_service::error","service.name":"user-service","severity_number":"17",
        "severity_text":"ERROR","span_id":"e7164b08d4098987","telemetry.sdk.name":"opentelemetry",
        "trace_id":"2c84c5081aa71efddec6e0d987cb0ef3","order.id":7}"#;

    #[test]
    fn reads_a_stored_record() {
        let record = Record::parse(STORED).unwrap();
        assert_eq!((record.message(), record.service()), ("request failed", "user-service"));
        assert_eq!(record.time(), 1_795_875_464_955_480_554);
        assert_eq!((record.severity(), record.level()), ("ERROR", Some(Level::Error)));
        assert_eq!(record.span_id(), "e7164b08d4098987");
        assert_eq!(record.attributes().collect::<Vec<_>>(), [("error", "user 999 fails"), ("order.id", "7")]);
        let json: Json = serde_json::from_str(&record.to_json()).unwrap();
        assert_eq!(json["_stream"], "{service.name=\"user-service\"}");
    }

    #[test]
    fn the_severity_is_optional() {
        let level = |fields: &[(&str, &str)]| {
            let record = record(fields);
            (record.severity().to_owned(), record.level())
        };
        assert_eq!(level(&[]), (String::new(), None));
        assert_eq!(level(&[("severity_number", "14")]), ("WARN".to_owned(), Some(Level::Warn)));
        assert_eq!(level(&[("severity_text", "warning")]), ("warning".to_owned(), Some(Level::Warn)));
        assert_eq!(level(&[("severity_text", "odd")]), ("odd".to_owned(), None));
    }

    #[test]
    fn shows_the_name_of_an_event_that_has_one() {
        let record = record(&[("event_name", "order.paid"), ("_msg", "paid")]);
        assert_eq!(record.attributes().collect::<Vec<_>>(), [("event_name", "order.paid")]);
        assert_eq!(record.time(), 0);
    }
}
