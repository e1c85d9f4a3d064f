//! Support code for the end-to-end tests, which use real services, a real Collector and a real Jaeger.
//!
//! The tests in `tests/` use a stack on free ports ([`test_stack`]), a client that starts traces ([`caller`]), and
//! readers for the telemetry that the pipeline stored. Tests never sleep for a fixed time: they poll until a deadline
//! ([`poll`]).

pub mod alertmanager;
pub mod browser;
pub mod caller;
pub mod command;
pub mod dashboards;
pub mod documents;
pub mod examples;
pub mod jaeger_ui;
pub mod log_records;
pub mod memory;
pub mod mtls;
pub mod otlp;
pub mod outline;
pub mod poll;
pub mod prometheus;
pub mod schedule;
pub mod signal;
pub mod store;
pub mod stores;
pub mod suite;
pub mod test_stack;
pub mod traffic;
pub mod up;
