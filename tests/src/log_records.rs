//! Readers for the log records in two places: the log store, and the console output of a service. Both have one JSON
//! object for each log record.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// One log record, from the log store or from a service's console output.
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

/// Reads a record of the log store.
#[must_use]
pub fn of_store(record: &Value) -> LogRecord {
    LogRecord {
        service: text_of(&record["service.name"]),
        message: text_of(&record["_msg"]),
        severity: text_of(&record["severity_text"]),
        trace_id: text_of(&record["trace_id"]),
        span_id: text_of(&record["span_id"]),
    }
}

/// Returns the numbers in each report of lost spans, which a service with the library writes when it ends: the lost
/// spans, and all spans of the process. Fails if a report cannot be read.
pub fn lost_spans(log: &str) -> Result<Vec<(u32, u32)>> {
    let reports =
        log.lines().filter(|line| line.contains("telemetry was lost: ") && line.contains(" spans to otlp"));
    let numbers = |line: &str| {
        let (count, _) = line.split_once(" spans to otlp")?;
        let (lost, all) = count.rsplit_once(" of ")?;
        Some((lost.rsplit(' ').next()?.parse().ok()?, all.parse().ok()?))
    };
    reports.map(|line| numbers(line).with_context(|| line.to_owned())).collect()
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

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_reports_of_lost_spans() {
        let log = "started\nError: telemetry was lost: 3 of 20 spans to otlp, 1 of 5 log records to otlp\n\
            Error: telemetry was lost: 1 of 5 log records to otlp\nError: telemetry was lost: 4 of 4 spans to otlp\n";
        assert_eq!(lost_spans(log).unwrap(), [(3, 20), (4, 4)]);
        assert!(lost_spans("telemetry was lost: some of 4 spans to otlp").is_err());
    }

    #[test]
    fn reads_records_from_the_store_and_the_console() {
        let expected = LogRecord {
            service: "s".into(),
            message: "served".into(),
            severity: "INFO".into(),
            trace_id: "aa".into(),
            span_id: "bb".into(),
        };
        let stored =
            r#"{"_msg":"served","service.name":"s","severity_text":"INFO","trace_id":"aa","span_id":"bb"}"#;
        assert_eq!(of_store(&serde_json::from_str(stored).unwrap()), expected);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs");
        let line = r#"{"timestamp":"t","level":"INFO","target":"x","message":"served","trace_id":"aa","span_id":"bb"}"#;
        std::fs::write(&path, format!("thread panicked\n{line}\n{{\"timest")).unwrap();
        assert_eq!(on_console("s", &path).unwrap(), [expected]);
    }
}
