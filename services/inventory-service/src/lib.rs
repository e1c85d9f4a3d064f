//! Stock reservations over gRPC: `sightline.inventory.v1.Inventory/Reserve`, with health checks and reflection.
//!
//! [`proto`] contains the client.

mod input;
mod server;
mod service;
mod settings;
mod stock;

use anyhow::Context as _;
use telemetry::Running;
use tokio::net::TcpListener;

pub use server::serve_on;
pub use settings::{Settings, variables};
pub use stock::{CATALOGUE, Stock};

/// The code generated from `proto/sightline/inventory/v1/inventory.proto`.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "the code is generated")]
pub mod proto {
    tonic::include_proto!("sightline.inventory.v1");

    /// The file descriptor set, for reflection.
    pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

/// Serves gRPC until the service is stopped. Fails if the address of the server cannot be used.
pub async fn serve(settings: Settings, running: Running) -> anyhow::Result<()> {
    let listener = TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("cannot listen on {} (SIGHTLINE_GRPC_ADDRESS)", settings.address))?;
    tracing::info!(server.address = %listener.local_addr()?, "serving stock over gRPC");
    running.ready();
    serve_on(listener, Stock::new(CATALOGUE), running.stopping()).await?;
    Ok(())
}
