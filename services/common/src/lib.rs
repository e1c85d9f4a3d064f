//! Code that services share: a SQL store, an HTTP server with limits, and extractors for requests.
//!
//! This crate is separate from the telemetry library, so a program that uses the library does not need a database
//! driver.

#[cfg(feature = "grpc")]
pub mod grpc;
pub mod request;
pub mod server;
pub mod settings;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
