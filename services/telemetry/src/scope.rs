//! Where the instrumentation layers get their tracer and their meter.

use opentelemetry::global::BoxedTracer;
use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry::{InstrumentationScope, global};
use opentelemetry_semantic_conventions::SCHEMA_URL;

/// Bucket boundaries that the semantic conventions advise for the duration of an HTTP request and of an RPC, in
/// seconds.
pub(crate) const CALL_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Bucket boundaries that the semantic conventions advise for the duration of a database call, in seconds.
pub(crate) const DATABASE_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The tracer and meter of one layer.
///
/// Taken when the layer is made: a layer made before the providers are installed records nothing, ever.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) tracer: BoxedTracer,
    pub(crate) meter: Meter,
}

impl Scope {
    /// From the providers this process has installed.
    pub(crate) fn global() -> Self {
        Self { tracer: global::tracer_with_scope(name()), meter: global::meter_with_scope(name()) }
    }

    /// From given providers, as the global ones are one per process and tests run side by side.
    #[cfg(test)]
    pub(crate) fn of(
        traces: &opentelemetry_sdk::trace::SdkTracerProvider,
        metrics: &opentelemetry_sdk::metrics::SdkMeterProvider,
    ) -> Self {
        use opentelemetry::{metrics::MeterProvider as _, trace::TracerProvider as _};
        Self {
            tracer: BoxedTracer::new(Box::new(traces.tracer_with_scope(name()))),
            meter: metrics.meter_with_scope(name()),
        }
    }

    /// A histogram of durations in seconds.
    pub(crate) fn duration(
        &self,
        name: &'static str,
        description: &'static str,
        buckets: &[f64],
    ) -> Histogram<f64> {
        self.meter
            .f64_histogram(name)
            .with_unit("s")
            .with_description(description)
            .with_boundaries(buckets.to_vec())
            .build()
    }
}

/// The scope of everything this crate makes itself.
pub(crate) fn name() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}
