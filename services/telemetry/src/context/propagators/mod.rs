//! The propagators that `OTEL_PROPAGATORS` selects.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/context/api-propagators/>

mod b3;

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use crate::settings::Propagator;
use b3::B3;

/// Combines the `selected` propagators into one. If several of them find a span context, the one found by the last of
/// them in the list is used.
pub(crate) fn composite(selected: &[Propagator]) -> TextMapCompositePropagator {
    let propagators = selected.iter().map(|propagator| -> Box<dyn TextMapPropagator + Send + Sync> {
        match propagator {
            Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
            Propagator::Baggage => Box::new(BaggagePropagator::new()),
            Propagator::B3 => Box::new(B3::Single),
            Propagator::B3Multi => Box::new(B3::Multi),
        }
    });
    TextMapCompositePropagator::new(propagators.collect())
}
