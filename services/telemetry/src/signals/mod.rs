//! The providers of the three signals, the parts that a program adds to them, the metrics about them, and the scope that the
//! crate's own spans and metrics have.

pub(crate) mod added;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod scope;
pub(crate) mod sdk_metrics;
pub(crate) mod traces;

pub(crate) mod sampling;
