//! Applies the [log record limits], which the SDK does not support, and counts the records submitted to the exporter.
//!
//! [log record limits]: https://opentelemetry.io/docs/specs/otel/logs/sdk/#logrecord-limits

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::{InstrumentationScope, Key};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider};

use crate::delivery::count::Delivery;
use crate::settings::RecordLimits;
use crate::signals::traces::shorten;

/// A processor that counts log records, and replaces each record that exceeds the limits with a copy within the limits.
#[derive(Debug)]
pub(super) struct Limited<P> {
    inner: P,
    limits: RecordLimits,
    delivery: Arc<Delivery>,
    // Creates empty records. The SDK provides no other way to construct a record.
    record_factory: SdkLogger,
}

impl<P: LogProcessor> Limited<P> {
    pub(super) fn new(inner: P, limits: RecordLimits, delivery: Arc<Delivery>) -> Self {
        let record_factory = SdkLoggerProvider::builder().build().logger("");
        Self { inner, limits, delivery, record_factory }
    }

    fn exceeds(&self, record: &SdkLogRecord) -> bool {
        let mut count = 0;
        let too_long = record.attributes_iter().any(|(_, value)| {
            count += 1;
            self.shortened(value).is_some()
        });
        too_long || count > self.limits.attributes
    }

    /// Returns `value` shortened to the limit, or `None` if `value` does not exceed the limit.
    fn shortened(&self, value: &AnyValue) -> Option<AnyValue> {
        match (value, self.limits.value_length) {
            (AnyValue::String(text), Some(limit)) => shorten(text.as_str(), limit).map(AnyValue::from),
            _ => None,
        }
    }

    /// Copies the record with shortened values and with at most the allowed number of attributes.
    fn rebuild(&self, record: &SdkLogRecord) -> SdkLogRecord {
        let mut copy = self.record_factory.create_log_record();
        if let Some(name) = record.event_name() {
            copy.set_event_name(name);
        }
        if let Some(target) = record.target() {
            copy.set_target(target.clone());
        }
        if let Some(time) = record.timestamp() {
            copy.set_timestamp(time);
        }
        if let Some(time) = record.observed_timestamp() {
            copy.set_observed_timestamp(time);
        }
        if let Some(text) = record.severity_text() {
            copy.set_severity_text(text);
        }
        if let Some(number) = record.severity_number() {
            copy.set_severity_number(number);
        }
        if let Some(body) = record.body() {
            copy.set_body(body.clone());
        }
        if let Some(context) = record.trace_context() {
            copy.set_trace_context(context.trace_id, context.span_id, context.trace_flags);
        }
        let kept = record.attributes_iter().take(self.limits.attributes);
        copy.add_attributes(kept.map(|(key, value)| -> (Key, AnyValue) {
            (key.clone(), self.shortened(value).unwrap_or_else(|| value.clone()))
        }));
        copy
    }
}

impl<P: LogProcessor> LogProcessor for Limited<P> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.delivery.is_closed() {
            return;
        }
        if !self.delivery.submit() {
            return;
        }
        if self.exceeds(record) {
            *record = self.rebuild(record);
        }
        self.inner.emit(record, scope);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.inner.event_enabled(level, target, name)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::count::{Component, Item, Queue};
    use opentelemetry_sdk::logs::{InMemoryLogExporter, SimpleLogProcessor};

    fn delivery() -> Arc<Delivery> {
        let queue = Queue { processor: Component::new("simple_log_processor", 0), capacity: 1 };
        Delivery::new(Item::LogRecord, "records", Component::new("test", 0), Some(queue))
    }

    #[test]
    fn cuts_attributes_that_exceed_the_limits_and_keeps_everything_else() {
        let exporter = InMemoryLogExporter::default();
        let limits = RecordLimits { attributes: 2, value_length: Some(3) };
        let processor = Limited::new(SimpleLogProcessor::new(exporter.clone()), limits, delivery());
        let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
        let logger = provider.logger("test");
        let mut record = logger.create_log_record();
        record.set_event_name("event");
        record.set_target("target");
        record.set_severity_number(Severity::Warn);
        record.set_severity_text("WARN");
        record.set_body("the body has no limit".into());
        record.add_attributes([("a", AnyValue::from("abcd")), ("b", 12_345.into()), ("c", "dropped".into())]);
        logger.emit(record);

        let emitted = &exporter.get_emitted_logs().unwrap()[0].record;
        let attributes: Vec<_> = emitted.attributes_iter().cloned().collect();
        assert_eq!(attributes, [("a".into(), "abc".into()), ("b".into(), 12_345.into())]);
        assert_eq!(emitted.event_name(), Some("event"));
        assert_eq!(emitted.severity_number(), Some(Severity::Warn));
        assert_eq!(emitted.severity_text(), Some("WARN"));
        assert_eq!(emitted.body(), Some(&"the body has no limit".into()));
        assert!(emitted.observed_timestamp().is_some());
    }

    #[test]
    fn ignores_records_after_the_exporter_is_closed() {
        let exporter = InMemoryLogExporter::default();
        let limits = RecordLimits { attributes: 2, value_length: None };
        let delivery = delivery();
        let processor =
            Limited::new(SimpleLogProcessor::new(exporter.clone()), limits, Arc::clone(&delivery));
        let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
        let logger = provider.logger("test");
        delivery.close();
        logger.emit(logger.create_log_record());
        assert!(exporter.get_emitted_logs().unwrap().is_empty());
        assert_eq!(delivery.describe_loss(), None);
    }
}
