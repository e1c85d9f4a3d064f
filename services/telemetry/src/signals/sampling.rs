//! Head sampling: the sampler that the settings select, and the counts of its decisions.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/trace/sdk/#sampling>

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::settings::Sampling;

/// Returns the SDK's sampler for these settings.
pub(crate) fn sampler(settings: Sampling) -> Box<dyn ShouldSample> {
    let root = if settings.ratio >= 1.0 {
        Sampler::AlwaysOn
    } else if settings.ratio <= 0.0 {
        Sampler::AlwaysOff
    } else {
        Sampler::TraceIdRatioBased(settings.ratio)
    };
    if settings.parent_based { Box::new(Sampler::ParentBased(Box::new(root))) } else { Box::new(root) }
}

/// The values of [`otel.span.parent.origin`], in the order of [`SpanCounts`].
///
/// [`otel.span.parent.origin`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/otel/#otel-span-parent-origin
const ORIGINS: [&str; 3] = ["none", "local", "remote"];

/// The values of [`otel.span.sampling_result`], in the order of [`SpanCounts`].
///
/// [`otel.span.sampling_result`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/otel/#otel-span-sampling-result
const RESULTS: [&str; 3] = ["DROP", RECORD_ONLY, RECORD_AND_SAMPLE];

pub(crate) const RECORD_ONLY: &str = "RECORD_ONLY";
pub(crate) const RECORD_AND_SAMPLE: &str = "RECORD_AND_SAMPLE";

/// The spans that were started.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    /// By [`ORIGINS`] and [`RESULTS`].
    started: [[AtomicU64; 3]; 3],
    ended_unsampled: AtomicU64,
}

impl SpanCounts {
    fn record_started(&self, parent_context: Option<&Context>, decision: &SamplingDecision) {
        let origin = match parent_context {
            Some(context) if context.has_active_span() => {
                let span = context.span();
                let parent = span.span_context();
                if !parent.is_valid() {
                    0
                } else if parent.is_remote() {
                    2
                } else {
                    1
                }
            }
            _ => 0,
        };
        let result = match decision {
            SamplingDecision::Drop => 0,
            SamplingDecision::RecordOnly => 1,
            SamplingDecision::RecordAndSample => 2,
        };
        self.started[origin][result].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a span with the sampling result `RECORD_ONLY`.
    pub(crate) fn record_ended_unsampled(&self) {
        self.ended_unsampled.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of started spans by the origin of the parent and the sampling result, without those that are zero.
    pub(crate) fn started(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let all = ORIGINS.iter().zip(&self.started).flat_map(|(origin, counts)| {
            let of = |(result, count): (&&'static str, &AtomicU64)| {
                (*origin, *result, count.load(Ordering::Relaxed))
            };
            RESULTS.iter().zip(counts).map(of)
        });
        all.filter(|(_, _, count)| *count > 0)
    }

    /// The number of started spans with this sampling result.
    pub(crate) fn started_with(&self, result: &str) -> u64 {
        self.started().filter(|(_, of, _)| *of == result).map(|(_, _, count)| count).sum()
    }

    /// The number of ended spans with the sampling result `RECORD_ONLY`.
    pub(crate) fn ended_unsampled(&self) -> u64 {
        self.ended_unsampled.load(Ordering::Relaxed)
    }
}

/// Counts the spans that are started. The SDK calls the sampler once for each of them, also if it is not recorded.
#[derive(Clone, Debug)]
pub(crate) struct CountingSampler {
    inner: Box<dyn ShouldSample>,
    counts: Arc<SpanCounts>,
}

impl CountingSampler {
    pub(crate) fn new(inner: Box<dyn ShouldSample>, counts: Arc<SpanCounts>) -> Self {
        Self { inner, counts }
    }
}

impl ShouldSample for CountingSampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let result = self.inner.should_sample(parent_context, trace_id, name, span_kind, attributes, links);
        self.counts.record_started(parent_context, &result.decision);
        result
    }
}
