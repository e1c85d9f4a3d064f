//! What the services share and the telemetry library has no business with: opening a SQL store, serving HTTP
//! within bounds, reading what a request carries.
//!
//! It is a crate of its own so that the library does not bring a database driver to those who adopt it.

pub mod request;
pub mod server;
pub mod settings;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
