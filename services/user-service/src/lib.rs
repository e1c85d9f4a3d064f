//! Users over HTTP, kept in SQL: `GET /users/{id}` and `POST /users`.

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
pub use input::{Invalid, NewUser};
pub use settings::Settings;
pub use users::{User, Users};

/// Opens the store, listens and serves until told to stop. Fails where the database or the address cannot be used.
pub async fn serve(settings: Settings, running: Running) -> anyhow::Result<()> {
    let users = Users::open(&settings.database, settings.faults).await?;
    let listener = TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("{} cannot be listened on (SIGHTLINE_HTTP_ADDRESS)", settings.address))?;
    tracing::info!(server.address = %listener.local_addr()?, "serving users over HTTP");
    running.ready();
    server::serve(listener, app(users.clone()), Limits::default(), running.stopping()).await;
    users.close().await;
    Ok(())
}
