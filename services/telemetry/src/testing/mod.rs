//! Helpers for the layers' tests: in-memory telemetry, and response bodies with frames that the test chooses.

pub(crate) mod fake_collector;

use std::collections::{BTreeMap, VecDeque};
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::Status;
use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, ShouldSample, SpanData};

use crate::signals::scope::Scope;

/// The `traceparent` header of a caller.
pub(crate) const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Attributes by name, with their values as text.
pub(crate) type Attributes = BTreeMap<String, String>;

/// A tracer provider and a meter provider that keep spans and metrics in memory. Each test has its own recorder.
pub(crate) struct Recorder {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    span_exporter: InMemorySpanExporter,
    metric_exporter: InMemoryMetricExporter,
}

impl Recorder {
    /// Records every span.
    pub(crate) fn new() -> Self {
        Self::sampling(Sampler::AlwaysOn)
    }

    /// Records the spans that `sampler` selects.
    pub(crate) fn sampling(sampler: impl ShouldSample + 'static) -> Self {
        // A process has only one global propagator, so all tests install the same propagator.
        global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]));
        let span_exporter = InMemorySpanExporter::default();
        let metric_exporter = InMemoryMetricExporter::default();
        Self {
            traces: SdkTracerProvider::builder()
                .with_sampler(sampler)
                .with_simple_exporter(span_exporter.clone())
                .build(),
            metrics: SdkMeterProvider::builder().with_periodic_exporter(metric_exporter.clone()).build(),
            span_exporter,
            metric_exporter,
        }
    }

    /// Returns the scope for a layer under test.
    pub(crate) fn scope(&self) -> Scope {
        Scope::of(&self.traces, &self.metrics)
    }

    /// Returns the tracer provider, for spans that the test creates itself.
    pub(crate) fn traces(&self) -> &SdkTracerProvider {
        &self.traces
    }

    /// Returns the spans that have ended.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.span_exporter.get_finished_spans().unwrap()
    }

    /// Returns the only span that has ended. Panics if there is none or more than one.
    #[track_caller]
    pub(crate) fn span(&self) -> SpanData {
        let mut spans = self.spans();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        spans.remove(0)
    }

    /// Waits until `count` spans have ended. A server's span ends in another task, possibly after the test has received
    /// the response.
    pub(crate) async fn wait_for_spans(&self, count: usize) -> Vec<SpanData> {
        let waiting = async {
            while self.spans().len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .expect("the spans did not end within 10 s");
        self.spans()
    }

    /// Returns the series of a histogram: the attributes and the number of recorded values of each series.
    pub(crate) fn histogram_counts(&self, name: &str) -> Vec<(Attributes, u64)> {
        self.metric(name, |data| match data {
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
                .data_points()
                .map(|point| (attributes(point.attributes().cloned()), point.count()))
                .collect(),
            other => panic!("{name} is {other:?}"),
        })
    }

    /// Returns the bucket boundaries of a histogram.
    pub(crate) fn bucket_boundaries(&self, name: &str) -> Vec<f64> {
        self.metric(name, |data| match data {
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                histogram.data_points().next().unwrap().bounds().collect()
            }
            other => panic!("{name} is {other:?}"),
        })
    }

    /// Returns the series of a sum: the attributes and the value of each series.
    pub(crate) fn sums(&self, name: &str) -> Vec<(Attributes, i64)> {
        self.metric(name, |data| match data {
            AggregatedMetrics::I64(MetricData::Sum(sum)) => sum
                .data_points()
                .map(|point| (attributes(point.attributes().cloned()), point.value()))
                .collect(),
            other => panic!("{name} is {other:?}"),
        })
    }

    fn metric<T>(&self, name: &str, read: impl Fn(&AggregatedMetrics) -> Vec<T>) -> Vec<T> {
        self.metrics.force_flush().unwrap();
        let all = self.metric_exporter.get_finished_metrics().unwrap();
        all.last()
            .into_iter()
            .flat_map(|metrics| metrics.scope_metrics().flat_map(ScopeMetrics::metrics))
            .filter(|metric| metric.name() == name)
            .flat_map(|metric| read(metric.data()))
            .collect()
    }
}

/// Converts the values of `pairs` to text. Panics if a name occurs twice.
#[track_caller]
pub(crate) fn attributes(pairs: impl IntoIterator<Item = KeyValue>) -> Attributes {
    let mut attributes = Attributes::new();
    for pair in pairs {
        let previous = attributes.insert(pair.key.to_string(), pair.value.to_string());
        assert_eq!(previous, None, "{} occurs twice", pair.key);
    }
    attributes
}

/// Returns the attributes of `span`, and whether its status is `Error`.
#[track_caller]
pub(crate) fn attributes_and_failed(span: &SpanData) -> (Attributes, bool) {
    (attributes(span.attributes.clone()), matches!(span.status, Status::Error { .. }))
}

/// Creates the attributes that a test expects.
pub(crate) fn expected<const N: usize>(pairs: [(&str, &str); N]) -> Attributes {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A body with the given frames. After the last frame, the body ends or stays pending.
#[derive(Debug)]
pub(crate) struct ScriptedBody {
    frames: VecDeque<Result<Frame<Bytes>, io::Error>>,
    hangs: bool,
}

impl ScriptedBody {
    /// A body with one data frame for each chunk.
    pub(crate) fn data(chunks: &[&'static str]) -> Self {
        let frames =
            chunks.iter().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))).collect();
        Self { frames, hangs: false }
    }

    /// Makes the body stay pending after the last frame.
    pub(crate) fn then_hangs(mut self) -> Self {
        self.hangs = true;
        self
    }

    /// Adds an error of this kind after the frames added so far.
    pub(crate) fn then_fails(mut self, kind: io::ErrorKind) -> Self {
        self.frames.push_back(Err(kind.into()));
        self
    }

    /// Adds a trailers frame with one trailer.
    pub(crate) fn then_trailer(mut self, name: &'static str, value: &'static str) -> Self {
        let trailers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
        self.frames.push_back(Ok(Frame::trailers(trailers)));
        self
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.frames.pop_front() {
            None if self.hangs => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Polls `future` once and drops it, as a timeout does. Panics if the future completes.
pub(crate) async fn cancel<F: Future>(future: F) {
    let mut future = pin!(future);
    poll_fn(|task| {
        assert!(future.as_mut().poll(task).is_pending(), "the future completed before it could be cancelled");
        Poll::Ready(())
    })
    .await;
}

/// Serves `app` on a free port of the loopback interface until the test's runtime ends. Returns the address.
pub(crate) async fn serve(app: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Returns an address on which nothing listens.
pub(crate) fn unused_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Creates a client without instrumentation. reqwest needs a TLS provider even for plain HTTP, so this function
/// installs a default provider.
pub(crate) fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default(); // fails if a provider is already installed
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Never completes. It can be used as a handler or as a future.
pub(crate) async fn never_completes<T>() -> T {
    pending().await
}
