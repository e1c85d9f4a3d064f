//! HTTP, as a server and as a client.
//!
//! Spans and metrics follow the [semantic conventions for HTTP] 1.42. The layers use the providers and the
//! propagator installed when they are made, so make them after telemetry has started.
//!
//! A span ends with the response's body, not with its head: a stream counts until its last byte. A request that is
//! cancelled midway, by a deadline or a caller who hangs up, ends with `error.type` `cancelled`.
//!
//! [semantic conventions for HTTP]: https://opentelemetry.io/docs/specs/semconv/http/

mod attributes;
mod client;
pub mod json;
pub mod panic;
pub mod problem;
mod server;

pub use client::{Client, ClientLayer, ClientService, UrlTemplate, client_layer};
pub use server::{ServerLayer, ServerService, server_layer};

pub(crate) use attributes::Authority;
pub(crate) use client::inject;
pub(crate) use server::peer_attributes;
