//! Head sampling: the sampler that the settings select.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/trace/sdk/#sampling>

use opentelemetry_sdk::trace::{Sampler, ShouldSample};

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
