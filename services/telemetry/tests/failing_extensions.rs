//! Adds parts that panic, block or fail, and checks that the service and the delivery do not depend on them.
//!
//! The `tracing` subscriber belongs to the whole process, so this file has a single test.

#![cfg(feature = "otlp-grpc")]

#[cfg(test)]
#[path = "../src/testing/fake_collector.rs"]
mod fake_collector;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::{Context, InstrumentationScope};
    use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
    use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
    use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
    use sightline_telemetry::Telemetry;
    use sightline_telemetry::settings::{MapEnv, Settings};

    use crate::fake_collector::FakeCollector;

    #[derive(Debug)]
    struct Panics;

    impl SpanProcessor for Panics {
        fn on_start(&self, _span: &mut Span, _context: &Context) {
            panic!("this panic is part of the test");
        }

        fn on_end(&self, _span: SpanData) {}

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    #[derive(Debug)]
    struct Fails;

    impl SpanProcessor for Fails {
        fn on_start(&self, _span: &mut Span, _context: &Context) {}

        fn on_end(&self, _span: SpanData) {}

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
            Err(OTelSdkError::InternalFailure("the disk is full".to_owned()))
        }
    }

    #[derive(Debug)]
    struct Blocks;

    impl LogProcessor for Blocks {
        fn emit(&self, _record: &mut SdkLogRecord, _scope: &InstrumentationScope) {}

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
            loop {
                std::thread::park();
            }
        }
    }

    #[test]
    fn faults_of_extensions_are_reported_and_lose_nothing() {
        let collector = FakeCollector::start();
        let endpoint = format!("http://127.0.0.1:{}", collector.port());
        let settings = Settings::read(&MapEnv::from_iter([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
        ]));
        let telemetry = Telemetry::builder(sightline_telemetry::service!())
            .settings(settings.unwrap())
            .span_processor(Panics)
            .span_processor(Fails)
            .log_processor(Blocks)
            .start()
            .unwrap();
        for _ in 0..10 {
            tracing::info_span!("work").in_scope(|| tracing::info!("an event"));
        }

        let error = telemetry.shutdown(Duration::from_secs(2)).unwrap_err();
        let module = module_path!();
        assert_eq!(
            error.lost,
            [
                format!("span processor {module}::Panics: Operation failed: it panicked and was turned off"),
                format!("span processor {module}::Fails: Operation failed: the disk is full"),
                format!("log processor {module}::Blocks: no response in time"),
            ]
        );
        assert_eq!(collector.spans(), 10);
        let received = collector.received();
        let scopes = received.logs.iter().flat_map(|request| &request.resource_logs);
        let records = scopes.flat_map(|resource| &resource.scope_logs).flat_map(|scope| &scope.log_records);
        let is_event = |record: &&opentelemetry_proto::tonic::logs::v1::LogRecord| {
            format!("{:?}", record.body).contains("an event")
        };
        assert_eq!(records.filter(is_event).count(), 10);
    }
}
