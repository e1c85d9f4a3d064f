//! Users over HTTP, stored in a SQL database: `GET /users/{id}` and `POST /users`.

mod app;
mod error;
mod input;
mod settings;
mod users;

use anyhow::Context as _;
use service_common::server::{self, Limits};
use telemetry::Running;
use tokio::net::TcpListener;

pub use app::app;
pub use input::{InvalidUser, NewUser};
pub use settings::{Settings, variables};
pub use users::{User, UserStore, UserStoreError, UserStoreOpenError};

/// Opens the store and serves HTTP until the service is stopped.
///
/// Fails if the database or the address of the server cannot be used.
pub async fn serve(settings: Settings, running: Running) -> anyhow::Result<()> {
    let users = UserStore::open(&settings.database, settings.faults).await?;
    let listener = TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("cannot listen on {} (SIGHTLINE_HTTP_ADDRESS)", settings.address))?;
    tracing::info!(server.address = %listener.local_addr()?, "serving users over HTTP");
    running.ready();
    server::serve(listener, app(users.clone()), Limits::default(), running.stopping()).await;
    users.close().await;
    Ok(())
}
