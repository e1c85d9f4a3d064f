//! How a trace's context crosses from one process to the next.

mod headers;

pub use headers::{HeaderExtractor, HeaderInjector};
