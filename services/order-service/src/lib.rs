//! Orders over HTTP: `GET /orders/{id}`. For each request, the service reads the user of the order from user-service
//! over HTTP and reserves the items with inventory-service over gRPC.

mod app;
mod baggage;
mod error;
mod inventory;
mod orders;
mod settings;
mod users;

use anyhow::Context as _;
use service_common::server::{self, Limits};
use telemetry::Running;
use tokio::net::TcpListener;

pub use app::{AppState, app};
pub use orders::{Item, Order, OrderStore, OrderStoreError, OrderStoreOpenError};
pub use settings::{Settings, UPSTREAM_TIMEOUT, Upstreams, variables};

/// Opens the store and serves HTTP until the service is stopped.
///
/// Fails if the database or the address of the server cannot be used. The upstreams need not be running yet.
pub async fn serve(settings: Settings, running: Running) -> anyhow::Result<()> {
    let orders = OrderStore::open(&settings.database, settings.faults).await?;
    let app = app(AppState::new(orders.clone(), &settings.upstreams, &settings.environment)?);
    let listener = TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("cannot listen on {} (SIGHTLINE_HTTP_ADDRESS)", settings.address))?;
    tracing::info!(server.address = %listener.local_addr()?, "serving orders over HTTP");
    running.ready();
    server::serve(listener, app, Limits::default(), running.stopping()).await;
    orders.close().await;
    Ok(())
}
