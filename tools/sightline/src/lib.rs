//! The operator's program as a library: certificates, reading traces back, and running the whole stack.
//!
//! The binary `sightline` is a thin layer of commands over it; the end-to-end tests use the same modules, so what
//! `make up` starts and what the tests start cannot drift apart.

pub mod certs;
pub mod demo;
mod http;
pub mod jaeger;
pub mod output;
pub mod stack;
pub mod waterfall;
