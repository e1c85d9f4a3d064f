//! A service that calls another service over HTTP: `GET /hello/{id}` reads an order from order-service.

use std::net::SocketAddr;
use std::process::ExitCode;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Router, routing::get};
use sightline_telemetry::http::{Client, client_builder, server_layer};
use sightline_telemetry::settings::{Env, SettingsError, parse};
use sightline_telemetry::{Running, run, service};

fn main() -> ExitCode {
    run(service!(), read_address, serve)
}

fn read_address(env: &dyn Env) -> Result<SocketAddr, SettingsError> {
    let default = SocketAddr::from(([127, 0, 0, 1], 3000));
    parse(env, "SIGHTLINE_HTTP_ADDRESS", default, "use an IP address and a port, such as 127.0.0.1:3000")
}

async fn serve(address: SocketAddr, running: Running) -> std::io::Result<()> {
    let client = Client::new(client_builder().build().map_err(std::io::Error::other)?);
    let app = Router::new()
        .route("/hello/{id}", get(hello))
        .layer(server_layer().trace_response(true))
        .with_state(client);
    let listener = tokio::net::TcpListener::bind(address).await?;
    running.ready();
    axum::serve(listener, app).with_graceful_shutdown(async move { running.stopping().await }).await
}

#[tracing::instrument(skip(client))]
async fn hello(State(client): State<Client>, Path(id): Path<i64>) -> Result<String, StatusCode> {
    read_order(&client, id).await.map_err(|error| {
        sightline_telemetry::span::record_error(&error);
        StatusCode::BAD_GATEWAY
    })
}

async fn read_order(client: &Client, id: i64) -> Result<String, reqwest::Error> {
    let request = client.get_ref().get(format!("http://127.0.0.1:8081/orders/{id}")).build()?;
    let response = client.execute(request, Some("/orders/{id}")).await?;
    response.error_for_status()?.text().await
}
