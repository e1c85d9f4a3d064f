//! What the layers' tests share: telemetry kept in memory, and bodies that do as they are told.

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
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};

use crate::scope::Scope;

/// A caller's context.
pub(crate) const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Attributes, as text.
pub(crate) type Attributes = BTreeMap<String, String>;

/// Providers of its own, and what they were given.
pub(crate) struct Recorder {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    spans: InMemorySpanExporter,
    measured: InMemoryMetricExporter,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self::sampling(Sampler::AlwaysOn)
    }

    pub(crate) fn sampling(sampler: Sampler) -> Self {
        // There is one propagator a process. All tests install the same.
        global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]));
        let spans = InMemorySpanExporter::default();
        let measured = InMemoryMetricExporter::default();
        Self {
            traces: SdkTracerProvider::builder()
                .with_sampler(sampler)
                .with_simple_exporter(spans.clone())
                .build(),
            metrics: SdkMeterProvider::builder().with_periodic_exporter(measured.clone()).build(),
            spans,
            measured,
        }
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope::of(&self.traces, &self.metrics)
    }

    /// For spans that are not a layer's.
    pub(crate) fn traces(&self) -> &SdkTracerProvider {
        &self.traces
    }

    /// The spans that have ended.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.spans.get_finished_spans().unwrap()
    }

    /// The one span that has ended.
    #[track_caller]
    pub(crate) fn span(&self) -> SpanData {
        let mut spans = self.spans();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        spans.remove(0)
    }

    /// Waits until `count` spans have ended: a server's ends in a task of its own.
    pub(crate) async fn wait_for_spans(&self, count: usize) -> Vec<SpanData> {
        let waiting = async {
            while self.spans().len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("spans should have ended by now");
        self.spans()
    }

    /// The series of a histogram: attributes, and how often something was recorded.
    pub(crate) fn histogram_counts(&self, name: &str) -> Vec<(Attributes, u64)> {
        self.metric(name, |data| match data {
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
                .data_points()
                .map(|point| (attributes(point.attributes().cloned()), point.count()))
                .collect(),
            other => panic!("{name} is {other:?}"),
        })
    }

    /// The bucket boundaries of a histogram.
    pub(crate) fn bucket_boundaries(&self, name: &str) -> Vec<f64> {
        self.metric(name, |data| match data {
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                histogram.data_points().next().unwrap().bounds().collect()
            }
            other => panic!("{name} is {other:?}"),
        })
    }

    /// The series of a sum.
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
        let all = self.measured.get_finished_metrics().unwrap();
        all.last()
            .into_iter()
            .flat_map(|metrics| metrics.scope_metrics().flat_map(ScopeMetrics::metrics))
            .filter(|metric| metric.name() == name)
            .flat_map(|metric| read(metric.data()))
            .collect()
    }
}

/// `pairs` by name; a name must not come twice.
#[track_caller]
pub(crate) fn attributes(pairs: impl IntoIterator<Item = KeyValue>) -> Attributes {
    let mut attributes = Attributes::new();
    for pair in pairs {
        let before = attributes.insert(pair.key.to_string(), pair.value.to_string());
        assert_eq!(before, None, "{} comes twice", pair.key);
    }
    attributes
}

/// The attributes of `span`, and whether its status says it failed.
#[track_caller]
pub(crate) fn attributes_and_failed(span: &SpanData) -> (Attributes, bool) {
    (attributes(span.attributes.clone()), matches!(span.status, Status::Error { .. }))
}

/// Attributes written down in a test.
pub(crate) fn expected<const N: usize>(pairs: [(&str, &str); N]) -> Attributes {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A body of these frames. It ends behind them, or hangs.
#[derive(Debug)]
pub(crate) struct ScriptedBody {
    frames: VecDeque<Result<Frame<Bytes>, io::Error>>,
    hangs: bool,
}

impl ScriptedBody {
    pub(crate) fn data(chunks: &[&'static str]) -> Self {
        let frames =
            chunks.iter().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))).collect();
        Self { frames, hangs: false }
    }

    pub(crate) fn then_hangs(mut self) -> Self {
        self.hangs = true;
        self
    }

    pub(crate) fn then_fails(mut self, kind: io::ErrorKind) -> Self {
        self.frames.push_back(Err(kind.into()));
        self
    }

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

/// Polls `future` once, which must not be enough, and drops it: what a deadline does.
pub(crate) async fn cancel<F: Future>(future: F) {
    let mut future = pin!(future);
    poll_fn(|task| {
        assert!(future.as_mut().poll(task).is_pending(), "too late to cancel");
        Poll::Ready(())
    })
    .await;
}

/// Serves `app` on a free port of the loopback interface, until the test's runtime goes.
pub(crate) async fn serve(app: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// An address where nobody listens.
pub(crate) fn unused_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A plain client. Reqwest wants a TLS provider even for plain HTTP.
pub(crate) fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default(); // another test may have been first
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Never answers.
pub(crate) async fn never_completes<T>() -> T {
    pending().await
}
