//! The propagator that `OTEL_PROPAGATORS` asks for.
//!
//! <https://opentelemetry.io/docs/specs/otel/context/api-propagators/>

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
#[expect(deprecated, reason = "the crate's exporter is what it deprecates; no other crate serves B3")]
use opentelemetry_zipkin::{B3Encoding, Propagator as B3Propagator};

use crate::settings::Propagator;

#[expect(deprecated, reason = "as above")]
/// All of `chosen` as one; where several find a context, the last one counts.
pub(crate) fn composite(chosen: &[Propagator]) -> TextMapCompositePropagator {
    let propagators = chosen.iter().map(|propagator| -> Box<dyn TextMapPropagator + Send + Sync> {
        match propagator {
            Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
            Propagator::Baggage => Box::new(BaggagePropagator::new()),
            Propagator::B3 => Box::new(B3Propagator::with_encoding(B3Encoding::SingleHeader)),
            Propagator::B3Multi => Box::new(B3Propagator::with_encoding(B3Encoding::MultipleHeader)),
        }
    });
    TextMapCompositePropagator::new(propagators.collect())
}
