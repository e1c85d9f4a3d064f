//! Adds a part of each kind with the builder, and checks its effect on what a Collector receives.
//!
//! The `tracing` subscriber belongs to the whole process, so this file has a single test.

#![cfg(feature = "otlp-grpc")]

#[cfg(test)]
#[path = "../src/testing/fake_collector.rs"]
mod fake_collector;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use opentelemetry::logs::LogRecord as _;
    use opentelemetry::propagation::text_map_propagator::FieldIter;
    use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
    use opentelemetry::trace::{Link, Span as _, SpanKind, TraceId, TraceState};
    use opentelemetry::{Context, InstrumentationScope, KeyValue, global};
    use opentelemetry_proto::tonic::common::v1::{self as proto, any_value::Value};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
    use opentelemetry_sdk::metrics::data::{ResourceMetrics, ScopeMetrics};
    use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
    use opentelemetry_sdk::metrics::{Aggregation, Instrument, PeriodicReader, Stream, Temporality};
    use opentelemetry_sdk::resource::ResourceDetector;
    use opentelemetry_sdk::trace::{
        SamplingDecision, SamplingResult, ShouldSample, Span, SpanData, SpanProcessor,
    };
    use sightline_telemetry::Telemetry;
    use sightline_telemetry::settings::MapEnv;
    use tracing_subscriber::{Layer, Registry, layer};

    use crate::fake_collector::FakeCollector;

    #[derive(Debug)]
    struct AddsAttribute;

    impl SpanProcessor for AddsAttribute {
        fn on_start(&self, span: &mut Span, _context: &Context) {
            span.set_attribute(KeyValue::new("shop.span", "processed"));
        }

        fn on_end(&self, _span: SpanData) {}

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    impl LogProcessor for AddsAttribute {
        fn emit(&self, record: &mut SdkLogRecord, _scope: &InstrumentationScope) {
            record.add_attribute("shop.log", "processed");
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    /// Samples all spans except one.
    #[derive(Clone, Debug)]
    struct NotHidden;

    impl ShouldSample for NotHidden {
        fn should_sample(
            &self,
            _parent: Option<&Context>,
            _trace_id: TraceId,
            name: &str,
            _kind: &SpanKind,
            _attributes: &[KeyValue],
            _links: &[Link],
        ) -> SamplingResult {
            let decision =
                if name == "hidden" { SamplingDecision::Drop } else { SamplingDecision::RecordAndSample };
            SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::NONE }
        }
    }

    #[derive(Clone, Default)]
    struct Names(Arc<Mutex<Vec<String>>>);

    impl Names {
        fn push(&self, name: &str) {
            self.0.lock().unwrap().push(name.to_owned());
        }

        fn get(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl PushMetricExporter for Names {
        async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
            for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
                self.push(metric.name());
            }
            Ok(())
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
            Ok(())
        }

        fn temporality(&self) -> Temporality {
            Temporality::Cumulative
        }
    }

    /// Keeps the names of this test's spans and the levels of its events.
    impl Layer<Registry> for Names {
        fn on_new_span(
            &self,
            attributes: &tracing::span::Attributes<'_>,
            _id: &tracing::span::Id,
            _context: layer::Context<'_, Registry>,
        ) {
            if attributes.metadata().target().starts_with(module_path!()) {
                self.push(attributes.metadata().name());
            }
        }

        fn on_event(&self, event: &tracing::Event<'_>, _context: layer::Context<'_, Registry>) {
            if event.metadata().target().starts_with(module_path!()) {
                self.push(event.metadata().level().as_str());
            }
        }
    }

    #[derive(Clone)]
    struct Tenant(String);

    #[derive(Debug)]
    struct TenantPropagator([String; 1]);

    impl TextMapPropagator for TenantPropagator {
        fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
            if let Some(Tenant(tenant)) = context.get::<Tenant>() {
                injector.set("x-tenant", tenant.clone());
            }
        }

        fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
            match extractor.get("x-tenant") {
                Some(tenant) => context.with_value(Tenant(tenant.to_owned())),
                None => context.clone(),
            }
        }

        fn fields(&self) -> FieldIter<'_> {
            FieldIter::new(&self.0)
        }
    }

    struct Detector;

    impl ResourceDetector for Detector {
        fn detect(&self) -> Resource {
            let attributes = [("cloud.region", "north"), ("shop.stage", "detected")];
            let attributes = attributes.map(|(key, value)| KeyValue::new(key, value));
            Resource::builder_empty().with_attributes(attributes).build()
        }
    }

    fn view(instrument: &Instrument) -> Option<Stream> {
        let stream = match instrument.name() {
            "orders" => Stream::builder().with_name("shop.orders"),
            "noise" => Stream::builder().with_aggregation(Aggregation::Drop),
            _ => return None,
        };
        stream.build().ok()
    }

    fn text<'a>(attributes: &'a [proto::KeyValue], key: &str) -> Option<&'a str> {
        let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
        match attribute.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn each_extension_has_an_effect() {
        let collector = FakeCollector::start();
        let endpoint = format!("http://127.0.0.1:{}", collector.port());
        let env = MapEnv::from_iter([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            // The sampler of the program replaces this one.
            ("OTEL_TRACES_SAMPLER", "always_off"),
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_LOG_LEVEL", "info"),
            ("OTEL_RESOURCE_ATTRIBUTES", "shop.owner=operator"),
        ]);
        let (layer, exporter) = (Names::default(), Names::default());
        let builder = Telemetry::builder(sightline_telemetry::service!());
        #[cfg(feature = "runtime-metrics")]
        let builder = builder.runtime_metrics(false);
        let telemetry = builder
            .env(env)
            .layer(layer.clone())
            .span_processor(AddsAttribute)
            .log_processor(AddsAttribute)
            .sampler(NotHidden)
            .view(view)
            .metric_reader(PeriodicReader::builder(exporter.clone()).build())
            .propagator(TenantPropagator(["x-tenant".to_owned()]))
            .resource_detector(Detector)
            .resource_attributes([
                KeyValue::new("service.name", "shop-3"),
                KeyValue::new("shop.stage", "fixed"),
                KeyValue::new("shop.owner", "program"),
            ])
            .start()
            .unwrap();

        tracing::info_span!("visible").in_scope(|| tracing::info!("an event"));
        tracing::info_span!("hidden").in_scope(|| ());
        tracing::debug!("an event that only the layer of the program gets");
        let meter = global::meter("test");
        meter.u64_counter("orders").build().add(1, &[]);
        meter.u64_counter("noise").build().add(1, &[]);

        let mut headers = HashMap::new();
        let context = Context::new().with_value(Tenant("blue".to_owned()));
        global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
        assert_eq!(headers.get("x-tenant").map(String::as_str), Some("blue"));
        let context = global::get_text_map_propagator(|propagator| {
            propagator.extract_with_context(&Context::new(), &headers)
        });
        assert_eq!(context.get::<Tenant>().map(|Tenant(tenant)| tenant.as_str()), Some("blue"));

        telemetry.shutdown(Duration::from_secs(5)).unwrap();

        assert_eq!(layer.get(), ["visible", "INFO", "hidden", "DEBUG"]);
        // Without the metrics of the library about itself, and with those of the process and the runtime turned off.
        let is_own = |name: &str| name.starts_with("otel.sdk.");
        let all = exporter.get();
        assert_eq!(all.iter().filter(|name| !is_own(name)).collect::<Vec<_>>(), ["shop.orders"]);
        let received = collector.received();

        let resource_spans: Vec<_> =
            received.traces.iter().flat_map(|request| &request.resource_spans).collect();
        let spans: Vec<_> = resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| &scope.spans)
            .collect();
        assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["visible"]);
        assert_eq!(text(&spans[0].attributes, "shop.span"), Some("processed"));

        let resource = &resource_spans[0].resource.as_ref().unwrap().attributes;
        assert_eq!(text(resource, "cloud.region"), Some("north"));
        assert_eq!(text(resource, "service.name"), Some("shop-3"));
        assert_eq!(text(resource, "shop.stage"), Some("fixed"));
        assert_eq!(text(resource, "shop.owner"), Some("operator"));

        let metrics = received.metrics.iter().flat_map(|request| &request.resource_metrics);
        let metrics = metrics.flat_map(|resource| &resource.scope_metrics).flat_map(|scope| &scope.metrics);
        let names = metrics.map(|metric| metric.name.as_str()).filter(|name| !is_own(name));
        assert_eq!(names.collect::<Vec<_>>(), ["shop.orders"]);

        let records = received.logs.iter().flat_map(|request| &request.resource_logs);
        let records = records.flat_map(|resource| &resource.scope_logs);
        let records: Vec<_> = records.flat_map(|scope| &scope.log_records).collect();
        assert!(!records.is_empty());
        for record in records {
            assert_eq!(text(&record.attributes, "shop.log"), Some("processed"));
            assert_ne!(record.severity_text, "DEBUG");
        }
    }
}
