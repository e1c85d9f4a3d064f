//! The spans that a test records.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use opentelemetry_sdk::trace::{InMemorySpanExporter, SimpleSpanProcessor, SpanData};
use telemetry::external::opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use telemetry::settings::MapEnv;
use telemetry::{Service, Telemetry};

/// How long [`Spans::trace`] waits for a trace.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The spans that this process has recorded.
#[derive(Clone, Copy, Debug)]
pub struct Spans(&'static InMemorySpanExporter);

/// The spans of one trace, in the order in which they started.
#[derive(Clone, Debug)]
pub struct Trace(Vec<SpanData>);

impl Spans {
    /// Starts telemetry with an exporter that keeps spans in memory. Further calls return the same spans, because a
    /// process can start telemetry only once.
    ///
    /// Use either this function or [`start_telemetry`](super::start_telemetry) in a process.
    pub fn record(service: Service) -> Self {
        static STARTED: OnceLock<(InMemorySpanExporter, Telemetry)> = OnceLock::new();
        let (exporter, _) = STARTED.get_or_init(|| {
            let exporter = InMemorySpanExporter::default();
            let env = MapEnv::from_iter([
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_METRICS_EXPORTER", "none"),
                ("OTEL_LOGS_EXPORTER", "none"),
                ("OTEL_TRACES_SAMPLER", "always_on"),
            ]);
            let processor = SimpleSpanProcessor::new(exporter.clone());
            let telemetry = Telemetry::builder(service).env(env).span_processor(processor).start().unwrap();
            (exporter, telemetry)
        });
        Self(exporter)
    }

    /// Waits until `count` spans of the trace have ended, and returns the trace. Panics if that takes longer than ten
    /// seconds. `trace_id` is the trace ID, or a header `traceparent` or `traceresponse`, which contain the trace ID.
    pub async fn trace(self, trace_id: &str, count: usize) -> Trace {
        let digits = trace_id.split('-').nth(1).unwrap_or(trace_id);
        let id = TraceId::from_hex(digits).unwrap_or_else(|_| panic!("{trace_id:?} has no trace ID"));
        self.wait(|spans| {
            let trace = Trace::new(spans.iter().filter(|span| span.span_context.trace_id() == id));
            (trace.0.len() >= count).then_some(trace)
        })
        .await
        .unwrap_or_else(|spans| panic!("trace {id} has fewer than {count} spans: {spans:?}"))
    }

    /// Like [`trace`](Self::trace), but finds the trace by one of its spans.
    pub async fn trace_with(self, count: usize, is_wanted: impl Fn(&SpanData) -> bool) -> Trace {
        self.wait(|spans| {
            let id = spans.iter().find(|span| is_wanted(span))?.span_context.trace_id();
            let trace = Trace::new(spans.iter().filter(|span| span.span_context.trace_id() == id));
            (trace.0.len() >= count).then_some(trace)
        })
        .await
        .unwrap_or_else(|spans| panic!("there is no such trace with {count} spans: {spans:?}"))
    }

    /// Polls the spans. Returns all of them as an error if `find` finds nothing in time.
    async fn wait(self, find: impl Fn(&[SpanData]) -> Option<Trace>) -> Result<Trace, Vec<SpanData>> {
        let started = Instant::now();
        loop {
            let spans = self.0.get_finished_spans().unwrap();
            match find(&spans) {
                Some(trace) => return Ok(trace),
                None if started.elapsed() > TIMEOUT => return Err(spans),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

impl Trace {
    fn new<'a>(spans: impl Iterator<Item = &'a SpanData>) -> Self {
        let mut spans: Vec<SpanData> = spans.cloned().collect();
        spans.sort_by_key(|span| span.start_time);
        Self(spans)
    }

    /// Returns one line for each span: its kind, its name and, if it failed, its `error.type` after ` ! `. A child is
    /// indented below its parent.
    ///
    /// ```text
    /// server GET /orders/{id}
    ///   internal read_order ! order_service::Error::Unavailable
    /// ```
    #[must_use]
    pub fn outline(&self) -> String {
        let mut lines = Vec::new();
        for root in self.0.iter().filter(|span| !self.contains(span.parent_span_id)) {
            self.describe(root, 0, &mut lines);
        }
        lines.join("\n")
    }

    /// Returns the only span with this name and kind. Panics if there is none, or more than one.
    #[must_use]
    pub fn span(&self, kind: &SpanKind, name: &str) -> &SpanData {
        let mut found = self.0.iter().filter(|span| span.span_kind == *kind && span.name == name);
        match (found.next(), found.next()) {
            (Some(span), None) => span,
            _ => panic!("not exactly one {kind:?} span {name:?}:\n{}", self.outline()),
        }
    }

    /// Returns the attributes of a span as text.
    #[must_use]
    pub fn attributes(span: &SpanData) -> HashMap<String, String> {
        let pairs = span.attributes.iter();
        pairs.map(|pair| (pair.key.to_string(), pair.value.as_str().into_owned())).collect()
    }

    fn contains(&self, id: SpanId) -> bool {
        self.0.iter().any(|span| span.span_context.span_id() == id)
    }

    fn describe(&self, span: &SpanData, depth: usize, lines: &mut Vec<String>) {
        let kind = format!("{:?}", span.span_kind).to_lowercase();
        let error = match &span.status {
            Status::Error { .. } => {
                format!(" ! {}", Self::attributes(span).remove("error.type").unwrap_or_default())
            }
            Status::Ok | Status::Unset => String::new(),
        };
        lines.push(format!("{}{kind} {}{error}", "  ".repeat(depth), span.name));
        for child in self.0.iter().filter(|other| other.parent_span_id == span.span_context.span_id()) {
            self.describe(child, depth + 1, lines);
        }
    }
}
