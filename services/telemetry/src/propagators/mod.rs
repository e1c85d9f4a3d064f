//! The propagator that `OTEL_PROPAGATORS` asks for.
//!
//! <https://opentelemetry.io/docs/specs/otel/context/api-propagators/>

mod b3;

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use crate::settings::Propagator;
use b3::B3;

/// All of `chosen` as one; where several find a context, the last one counts.
pub(crate) fn composite(chosen: &[Propagator]) -> TextMapCompositePropagator {
    let propagators = chosen.iter().map(|propagator| -> Box<dyn TextMapPropagator + Send + Sync> {
        match propagator {
            Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
            Propagator::Baggage => Box::new(BaggagePropagator::new()),
            Propagator::B3 => Box::new(B3::Single),
            Propagator::B3Multi => Box::new(B3::Multi),
        }
    });
    TextMapCompositePropagator::new(propagators.collect())
}
