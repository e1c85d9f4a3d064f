//! A minimal service with traces, metrics and logs. Test it with `curl http://127.0.0.1:3000/hello/you`.

use std::net::SocketAddr;
use std::process::ExitCode;

use axum::extract::Path;
use axum::{Router, routing::get};
use sightline_telemetry::http::server_layer;
use sightline_telemetry::settings::{Env, SettingsError, parse};
use sightline_telemetry::{Running, run, service};

fn main() -> ExitCode {
    run(service!(), read_address, serve)
}

/// Reads the address to listen on, from the variable that the Helm chart sets.
fn read_address(env: &dyn Env) -> Result<SocketAddr, SettingsError> {
    let default = SocketAddr::from(([127, 0, 0, 1], 3000));
    parse(env, "SIGHTLINE_HTTP_ADDRESS", default, "use an IP address and a port, such as 127.0.0.1:3000")
}

async fn serve(address: SocketAddr, running: Running) -> std::io::Result<()> {
    let app = Router::new().route("/hello/{name}", get(hello)).layer(server_layer().trace_response(true));
    let listener = tokio::net::TcpListener::bind(address).await?;
    running.ready();
    axum::serve(listener, app).with_graceful_shutdown(async move { running.stopping().await }).await
}

#[tracing::instrument]
async fn hello(Path(name): Path<String>) -> String {
    tracing::info!(name.length = name.len(), "greeting");
    format!("Hello, {name}!\n")
}
