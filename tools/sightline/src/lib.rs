//! The operator's program: up, certs, trace, traces.
