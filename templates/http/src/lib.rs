//! Items over HTTP: `GET /template-http/{id}`. For each request, the service reads the details of the item from another
//! service, which is at first the service itself.

mod app;
mod details;
mod settings;

use anyhow::Context as _;
use service_common::server::{self, Limits};
use telemetry::Running;
use tokio::net::TcpListener;

pub use app::app;
pub use details::DetailsClient;
pub use settings::Settings;

/// Serves HTTP until the service is stopped. Fails if the address of the server cannot be used.
pub async fn serve(settings: Settings, running: Running) -> anyhow::Result<()> {
    let details = DetailsClient::new(settings.details_url)?;
    let listener = TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("cannot listen on {} (SIGHTLINE_HTTP_ADDRESS)", settings.address))?;
    tracing::info!(server.address = %listener.local_addr()?, "serving items over HTTP");
    running.ready();
    server::serve(listener, app(details), Limits::default(), running.stopping()).await;
    Ok(())
}
