//! End-to-end tests: real services, real Collector, real Jaeger.
