//! Additions to the lists of the gateway's configuration: sampling policies, redaction keys and patterns, and dimensions
//! of the span metrics.
//!
//! An overlay of the Collector cannot append to a list, because a list in an overlay replaces the list of the base file.
//! [`Additions::overlay`] returns an overlay with whole lists: first the entries of `gateway.yaml`, then the added
//! entries. The chart generates the same lists from its values, in `charts/collector/templates/_additions.tpl`. A test
//! compares the two.

mod check;
mod error;
mod input;
mod overlay;

pub use error::AdditionsError;
pub use input::{Additions, Dimension, Policy, Redaction, Sampling, SpanMetrics};

#[cfg(test)]
mod tests;
