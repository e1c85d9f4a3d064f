//! Code that the example services share: a SQL store, an HTTP server with limits, and extractors for requests.
//!
//! It is a separate crate, so adopting the telemetry library does not pull in a database driver.

pub mod request;
pub mod server;
pub mod settings;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
