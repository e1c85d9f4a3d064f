//! The library behind the `sightline` program: certificates, the local stack, additions to the gateway's configuration,
//! new services from templates, traces from Jaeger, and log records and metrics from the stores.
//!
//! The program only adds the command line. The end-to-end tests use the same modules, so they run exactly the stack
//! that `make up` runs.

pub mod certs;
pub mod demo;
pub mod examples;
pub mod gateway;
mod http;
pub mod jaeger;
pub mod log_lines;
pub mod operations_table;
pub mod output;
pub mod scaffold;
pub mod stack;
pub mod stores;
pub mod waterfall;
