//! The library behind the `sightline` program: certificates, the local stack, additions to the gateway's configuration,
//! new services from templates, and traces from Jaeger.
//!
//! The program only adds the command line. The end-to-end tests use the same modules, so they run exactly the stack
//! that `make up` runs.

pub mod certs;
pub mod demo;
pub mod examples;
pub mod gateway;
mod http;
pub mod jaeger;
pub mod output;
pub mod scaffold;
pub mod stack;
pub mod waterfall;
