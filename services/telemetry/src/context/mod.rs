//! The context that connects the spans of a trace, and its way from one process to the next.

pub mod propagation;

pub(crate) mod propagators;
