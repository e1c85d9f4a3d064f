//! Readers for the log records in two places: the file in which the gateway stores log records, and the console output
//! of a service. Each line of the gateway's file is an OTLP request in JSON. Each line of a service's console output is
//! a log record in JSON.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// One log record, from the gateway's file or from a service's console output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogRecord {
    /// `service.name`.
    pub service: String,
    /// The message.
    pub message: String,
    /// The severity text, such as `INFO`.
    pub severity: String,
    /// The trace ID: 32 hex digits, or empty if the record was written outside a trace.
    pub trace_id: String,
    /// The span ID: 16 hex digits, or empty if the record was written outside a span.
    pub span_id: String,
}

/// Reads the records in the gateway's file. An incomplete last line is ignored: the gateway is still writing it.
pub fn in_gateway_file(path: &Path) -> Result<Vec<LogRecord>> {
    let text = read(path)?;
    let mut records = Vec::new();
    for line in complete_lines(&text) {
        let request: Value = serde_json::from_str(line)
            .with_context(|| format!("{} has a line that is not JSON: {line}", path.display()))?;
        for resource in list(&request["resourceLogs"]) {
            let service = attribute(&resource["resource"], "service.name");
            for scope in list(&resource["scopeLogs"]) {
                records.extend(list(&scope["logRecords"]).iter().map(|record| LogRecord {
                    service: service.clone(),
                    message: text_of(&record["body"]["stringValue"]),
                    severity: text_of(&record["severityText"]),
                    trace_id: text_of(&record["traceId"]),
                    span_id: text_of(&record["spanId"]),
                }));
            }
        }
    }
    Ok(records)
}

/// Reads the records that a service wrote to its console. Lines that are not JSON objects, such as panic messages, are
/// ignored.
pub fn on_console(service: &str, path: &Path) -> Result<Vec<LogRecord>> {
    let text = read(path)?;
    let objects = complete_lines(&text)
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(Value::is_object);
    let record = |line: Value| LogRecord {
        service: service.to_owned(),
        message: text_of(&line["message"]),
        severity: text_of(&line["level"]),
        trace_id: text_of(&line["trace_id"]),
        span_id: text_of(&line["span_id"]),
    };
    Ok(objects.map(record).collect())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {} failed", path.display()))
}

fn complete_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).filter(|line| !line.is_empty())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn attribute(owner: &Value, key: &str) -> String {
    let found = list(&owner["attributes"]).iter().find(|attribute| attribute["key"] == key);
    found.map(|attribute| text_of(&attribute["value"]["stringValue"])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_records_from_the_gateway_file_and_the_console() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs");
        let request = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},"scopeLogs":[{"logRecords":[{"severityText":"INFO","body":{"stringValue":"served"},"traceId":"aa","spanId":"bb"}]}]}]}"#;
        let expected = LogRecord {
            service: "s".into(),
            message: "served".into(),
            severity: "INFO".into(),
            trace_id: "aa".into(),
            span_id: "bb".into(),
        };
        std::fs::write(&path, format!("{request}\n{{\"resourceLo")).unwrap();
        assert_eq!(in_gateway_file(&path).unwrap(), std::slice::from_ref(&expected));

        let line = r#"{"timestamp":"t","level":"INFO","target":"x","message":"served","trace_id":"aa","span_id":"bb"}"#;
        std::fs::write(&path, format!("thread panicked\n{line}\n")).unwrap();
        assert_eq!(on_console("s", &path).unwrap(), [expected]);
    }
}
