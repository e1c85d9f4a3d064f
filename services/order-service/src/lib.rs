//! Orders over HTTP: `GET /orders/{id}`, which reads the order's user from user-service over HTTP and has its items
//! set aside by inventory-service over gRPC.

mod app;
mod baggage;
mod error;
mod orders;
mod settings;
mod stock;
mod users;

use anyhow::Context as _;
use service_common::server::{self, Limits};
use telemetry::Running;
use tokio::net::TcpListener;

pub use app::{App, app};
pub use orders::{Item, Order, Orders};
pub use settings::{DEADLINE, Settings, Upstreams};

/// Opens the store, listens and serves until told to stop. Fails where the database or the address cannot be used;
/// the other services need not be there yet.
pub async fn serve(settings: Settings, running: Running) -> anyhow::Result<()> {
    let orders = Orders::open(&settings.database, settings.faults).await?;
    let app = app(App::new(orders.clone(), &settings.upstreams, &settings.environment)?);
    let listener = TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("{} cannot be listened on (SIGHTLINE_HTTP_ADDRESS)", settings.address))?;
    tracing::info!(server.address = %listener.local_addr()?, "serving orders over HTTP");
    running.ready();
    server::serve(listener, app, Limits::default(), running.stopping()).await;
    orders.close().await;
    Ok(())
}
