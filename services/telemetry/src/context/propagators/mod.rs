//! The propagators that `OTEL_PROPAGATORS` selects.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/context/api-propagators/>

mod b3;

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use crate::settings::Propagator;
use b3::B3;

/// A propagator that the program adds.
pub(crate) type AddedPropagator = Box<dyn TextMapPropagator + Send + Sync>;

/// Combines the `selected` propagators and then the `added` ones into one. If several of them find a span context, the
/// one found by the last of them is used.
pub(crate) fn composite(selected: &[Propagator], added: Vec<AddedPropagator>) -> TextMapCompositePropagator {
    let propagators = selected.iter().map(|propagator| -> AddedPropagator {
        match propagator {
            Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
            Propagator::Baggage => Box::new(BaggagePropagator::new()),
            Propagator::B3 => Box::new(B3::Single),
            Propagator::B3Multi => Box::new(B3::Multi),
        }
    });
    TextMapCompositePropagator::new(propagators.chain(added).collect())
}
