//! Stock over gRPC: `sightline.inventory.v1.Inventory/Reserve`, with health and reflection.
//!
//! Those who call it find the client in [`proto`].

mod input;
mod server;
mod service;
mod settings;
mod stock;

use anyhow::Context as _;
use telemetry::Running;
use tokio::net::TcpListener;

pub use server::serve_on;
pub use settings::Settings;
pub use stock::{CATALOGUE, Stock};

/// The protocol, as generated from `proto/sightline/inventory/v1/inventory.proto`.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated")]
pub mod proto {
    tonic::include_proto!("sightline.inventory.v1");

    /// The protocol's description, for reflection.
    pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

/// Listens and serves until told to stop. Fails where the address cannot be used.
pub async fn serve(settings: Settings, running: Running) -> anyhow::Result<()> {
    let listener = TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("{} cannot be listened on (SIGHTLINE_GRPC_ADDRESS)", settings.address))?;
    tracing::info!(server.address = %listener.local_addr()?, "serving stock over gRPC");
    running.ready();
    serve_on(listener, Stock::new(CATALOGUE), running.stopping()).await
}
