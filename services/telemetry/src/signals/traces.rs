//! The tracer provider, with its span processors and limits.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::Span as _;
use opentelemetry::{Context, Key, KeyValue, Value, baggage::BaggageExt};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, ShouldSample, Span, SpanData, SpanExporter,
    SpanProcessor,
};

use crate::delivery::console;
use crate::delivery::count::{Component, Delivery, Item, Queue};
use crate::delivery::export::{ExportThread, Exporter};
use crate::delivery::otlp::Exporters;
use crate::error::StartError;
use crate::settings::{Batch, Signal, SpanExporterKind, Traces};
use crate::signals::added::{Addition, Stop};
use crate::signals::sampling::{self, CountingSampler, SpanCounts};

/// What the program adds to traces.
#[derive(Default)]
pub(crate) struct Extensions {
    /// Replaces the sampler from the settings.
    pub(crate) sampler: Option<Box<dyn ShouldSample>>,
    /// Run before the exporters, so the exporters see the attributes that they add.
    pub(crate) processors: Vec<Addition<dyn SpanProcessor>>,
}

/// The tracer provider and its counters.
#[derive(Debug)]
pub(crate) struct Tracing {
    pub(crate) provider: SdkTracerProvider,
    /// The spans that were started.
    pub(crate) counts: Arc<SpanCounts>,
    /// The counters of each exporter.
    pub(crate) deliveries: Vec<Arc<Delivery>>,
}

/// Creates the tracer provider for these settings. Adds the handles of the program's own parts to `added`.
pub(crate) fn provider(
    settings: &Traces,
    extensions: Extensions,
    added: &mut Vec<Arc<dyn Stop>>,
    resource: &Resource,
    thread: &ExportThread,
    exporters: &mut Exporters<'_>,
) -> Result<Tracing, StartError> {
    let mut deliveries = Vec::new();
    let counts = Arc::<SpanCounts>::default();
    let sampler = extensions.sampler.unwrap_or_else(|| sampling::sampler(settings.sampling));
    let mut builder = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(CountingSampler::new(sampler, Arc::clone(&counts)))
        .with_span_limits(settings.limits);
    // This processor comes before the exporters, so the exporters see the attributes that it adds.
    if !settings.baggage_attributes.is_empty() {
        builder = builder.with_span_processor(BaggageProcessor::new(&settings.baggage_attributes));
    }
    for processor in extensions.processors {
        let (processor, handle) = processor.start_with(resource);
        added.push(handle);
        builder = builder.with_span_processor(processor);
    }
    if settings.log_spans {
        builder = builder.with_span_processor(SpanLogger);
    }
    for (index, kind) in settings.exporters.iter().enumerate() {
        let delivery = |label, exporter| {
            let processor = Component::new("batching_span_processor", index);
            let queue = Queue { processor, capacity: settings.batch.queue };
            Delivery::new(Item::Span, label, exporter, Some(queue))
        };
        let (processor, delivery) = match kind {
            SpanExporterKind::Otlp => {
                let exporter = exporters.spans(&settings.otlp, settings.batch.timeout)?;
                let delivery = delivery("spans to otlp", Component::otlp(Signal::Traces, &settings.otlp));
                (batch_processor(exporter, settings, thread, Arc::clone(&delivery)), delivery)
            }
            SpanExporterKind::Console => {
                let component = Component::new("opentelemetry_stdout::SpanExporter", 0);
                let delivery = delivery("spans to the console", component);
                (batch_processor(console::spans()?, settings, thread, Arc::clone(&delivery)), delivery)
            }
        };
        // Each processor gets every span, so only the first one counts the ended spans.
        let ended = (index == 0).then(|| Arc::clone(&counts));
        deliveries.push(Arc::clone(&delivery));
        builder = builder.with_span_processor(CountingProcessor { inner: processor, delivery, ended });
    }
    Ok(Tracing { provider: builder.build(), counts, deliveries })
}

fn batch_processor<E: SpanExporter + 'static>(
    exporter: E,
    settings: &Traces,
    thread: &ExportThread,
    delivery: Arc<Delivery>,
) -> BatchSpanProcessor {
    let Batch { delay, queue, size, timeout } = settings.batch;
    let exporter = Exporter::new(exporter, thread, timeout, delivery);
    let config = BatchConfigBuilder::default()
        .with_scheduled_delay(delay)
        .with_max_queue_size(queue)
        .with_max_export_batch_size(size)
        .build();
    let shortening = ShorteningExporter { inner: exporter, limit: settings.value_length };
    BatchSpanProcessor::builder(shortening).with_batch_config(config).build()
}

/// Counts the spans to export, and drops those for which the queue has no room.
#[derive(Debug)]
struct CountingProcessor {
    inner: BatchSpanProcessor,
    delivery: Arc<Delivery>,
    /// Where this processor counts the ended spans that are not exported.
    ended: Option<Arc<SpanCounts>>,
}

impl SpanProcessor for CountingProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        // A span that is recorded but not sampled is only for the program's own processors. The SDK's batch processor
        // would export it.
        if !span.span_context.is_sampled() {
            if let Some(counts) = &self.ended {
                counts.record_ended_unsampled();
            }
        } else if self.delivery.submit() {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Copies selected baggage entries into attributes of each span, so that queries for spans can use the entries.
#[derive(Debug)]
struct BaggageProcessor {
    keys: Vec<Key>,
}

impl BaggageProcessor {
    fn new(keys: &[String]) -> Self {
        Self { keys: keys.iter().cloned().map(Key::new).collect() }
    }
}

impl SpanProcessor for BaggageProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        if !span.is_recording() {
            return;
        }
        let baggage = context.baggage();
        for key in &self.keys {
            if let Some(value) = baggage.get(key) {
                span.set_attribute(KeyValue::new(key.clone(), value.clone()));
            }
        }
    }

    fn on_end(&self, _span: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Writes a log record for each finished span, so that a developer can see spans without a backend.
#[derive(Debug)]
struct SpanLogger;

impl SpanProcessor for SpanLogger {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        let duration = span.end_time.duration_since(span.start_time).unwrap_or_default();
        tracing::info!(
            otel.name = %span.name,
            otel.kind = ?span.span_kind,
            otel.status = ?span.status,
            otel.duration_seconds = duration.as_secs_f64(),
            otel.trace_id = %span.span_context.trace_id(),
            otel.span_id = %span.span_context.span_id(),
            otel.parent_span_id = %span.parent_span_id,
            otel.sampled = span.span_context.is_sampled(),
            "span ended"
        );
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Shortens the text of attributes to the number of characters that `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT` sets. The
/// SDK does not support this limit. The exporter runs on the batch processor's thread, so shortening does not delay a
/// request.
#[derive(Debug)]
struct ShorteningExporter<E> {
    inner: E,
    limit: Option<usize>,
}

impl<E: SpanExporter> SpanExporter for ShorteningExporter<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        if let Some(limit) = self.limit {
            for span in &mut batch {
                shorten_all(&mut span.attributes, limit);
                span.events.events.iter_mut().for_each(|event| shorten_all(&mut event.attributes, limit));
                span.links.links.iter_mut().for_each(|link| shorten_all(&mut link.attributes, limit));
            }
        }
        self.inner.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

fn shorten_all(attributes: &mut [KeyValue], limit: usize) {
    for attribute in attributes {
        match &mut attribute.value {
            Value::String(text) => {
                if let Some(short) = shorten(text.as_str(), limit) {
                    *text = short.into();
                }
            }
            Value::Array(opentelemetry::Array::String(texts)) => {
                for text in texts {
                    if let Some(short) = shorten(text.as_str(), limit) {
                        *text = short.into();
                    }
                }
            }
            _ => {}
        }
    }
}

/// The first `limit` characters of `text`. Returns `None` if `text` is not longer than `limit`.
pub(crate) fn shorten(text: &str, limit: usize) -> Option<String> {
    text.char_indices().nth(limit).map(|(end, _)| text[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::InMemorySpanExporter;

    #[test]
    fn copies_only_the_selected_baggage() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BaggageProcessor::new(&["environment".into(), "absent".into()]))
            .with_simple_exporter(exporter.clone())
            .build();
        let baggage = [KeyValue::new("environment", "test"), KeyValue::new("other", "1")];
        let context = Context::new().with_baggage(baggage);
        let tracer = provider.tracer("test");
        drop(tracer.start_with_context("work", &context));
        let spans = exporter.get_finished_spans().unwrap();
        assert_eq!(spans[0].attributes, [KeyValue::new("environment", "test")]);
    }

    #[tokio::test]
    async fn shortens_text_in_all_attributes_of_a_span() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(ShorteningExporter { inner: exporter.clone(), limit: Some(3) })
            .build();
        let mut span = provider.tracer("test").start("the name is not an attribute");
        span.set_attribute(KeyValue::new("text", "äöüß"));
        span.set_attribute(KeyValue::new("short", "abc"));
        span.set_attribute(KeyValue::new("number", 12_345));
        let list = vec!["abcd".into(), "ab".into()];
        span.set_attribute(KeyValue::new("list", Value::Array(opentelemetry::Array::String(list))));
        span.add_event("event", vec![KeyValue::new("text", "abcd")]);
        drop(span);
        let span = &exporter.get_finished_spans().unwrap()[0];
        let list = vec!["abc".into(), "ab".into()];
        assert_eq!(
            span.attributes,
            [
                KeyValue::new("text", "äöü"),
                KeyValue::new("short", "abc"),
                KeyValue::new("number", 12_345),
                KeyValue::new("list", Value::Array(opentelemetry::Array::String(list))),
            ]
        );
        assert_eq!(span.events.events[0].attributes, [KeyValue::new("text", "abc")]);
        assert_eq!(span.name, "the name is not an attribute");
    }
}
