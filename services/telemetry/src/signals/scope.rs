//! The tracer, meter and settings of a layer, and the bucket boundaries of the calls' histograms.

use std::sync::{PoisonError, RwLock};

use opentelemetry::global::BoxedTracer;
use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry::{InstrumentationScope, global};
use opentelemetry_semantic_conventions::SCHEMA_URL;

use crate::settings::Instrumentation;

/// The bucket boundaries, in seconds, that the semantic conventions recommend for [HTTP requests] and [RPCs].
///
/// [HTTP requests]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
/// [RPCs]: https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/
pub(crate) const CALL_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The bucket boundaries, in seconds, that the semantic conventions recommend for [database calls].
///
/// [database calls]: https://opentelemetry.io/docs/specs/semconv/db/database-metrics/#metric-dbclientoperationduration
pub(crate) const DATABASE_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The settings of the scopes that [`Scope::global`] creates. `None` means the defaults.
static SETTINGS: RwLock<Option<Instrumentation>> = RwLock::new(None);

/// Sets the settings of the scopes that are created from now on, as installing a global provider does.
pub(crate) fn configure(settings: &Instrumentation) {
    *SETTINGS.write().unwrap_or_else(PoisonError::into_inner) = Some(settings.clone());
}

/// The tracer, meter and settings of one layer, client or database.
///
/// The tracer and the meter come from the global providers that are installed when the layer is created. A layer that
/// is created before the providers are installed never records anything. The same applies to a client and a database.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) tracer: BoxedTracer,
    pub(crate) meter: Meter,
    pub(crate) settings: Instrumentation,
}

impl Scope {
    /// Creates a scope from this process's global providers and settings.
    pub(crate) fn global() -> Self {
        Self {
            tracer: global::tracer_with_scope(instrumentation_scope()),
            meter: global::meter_with_scope(instrumentation_scope()),
            settings: SETTINGS.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default(),
        }
    }

    /// Creates a scope from the given providers. Tests run in parallel in one process, so they cannot share the global
    /// providers.
    #[cfg(test)]
    pub(crate) fn of(
        traces: &opentelemetry_sdk::trace::SdkTracerProvider,
        metrics: &opentelemetry_sdk::metrics::SdkMeterProvider,
    ) -> Self {
        use opentelemetry::{metrics::MeterProvider as _, trace::TracerProvider as _};
        Self {
            tracer: BoxedTracer::new(Box::new(traces.tracer_with_scope(instrumentation_scope()))),
            meter: metrics.meter_with_scope(instrumentation_scope()),
            settings: Instrumentation::default(),
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

/// The instrumentation scope of the spans and metrics that this crate creates.
pub(crate) fn instrumentation_scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}
