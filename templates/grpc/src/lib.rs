//! Items over gRPC: `template_grpc.v1.TemplateGrpc/Read`, with health checks and reflection. For each call, the service
//! reads the details of the item from another service, which is at first the service itself.
//!
//! [`proto`] contains the client.

mod details;
mod server;
mod service;
mod settings;

use anyhow::Context as _;
use telemetry::Running;
use tokio::net::TcpListener;

pub use details::DetailsClient;
pub use server::serve_on;
pub use settings::Settings;

/// The code generated from `proto/template_grpc/v1/template_grpc.proto`.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "the code is generated")]
pub mod proto {
    tonic::include_proto!("template_grpc.v1");

    /// The file descriptor set, for reflection.
    pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

/// Serves gRPC until the service is stopped. Fails if the address of the server cannot be used.
pub async fn serve(settings: Settings, running: Running) -> anyhow::Result<()> {
    let details = DetailsClient::new(&settings.details_url)?;
    let listener = TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("cannot listen on {} (SIGHTLINE_GRPC_ADDRESS)", settings.address))?;
    tracing::info!(server.address = %listener.local_addr()?, "serving items over gRPC");
    running.ready();
    serve_on(listener, details, running.stopping()).await?;
    Ok(())
}
