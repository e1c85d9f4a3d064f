//! End-to-end tests: real services, real Collector, real Jaeger.
//!
//! What is here serves the tests in `tests/`: a stack on free ports ([`lab`]), a caller with a trace of their own
//! ([`caller`]), and readers of what came out at the other end. Tests never sleep: they look until a deadline ([`poll`]).

pub mod caller;
pub mod doors;
pub mod lab;
pub mod log_records;
pub mod memory;
pub mod otlp;
pub mod outline;
pub mod poll;
pub mod prometheus;
pub mod suite;
pub mod traffic;
