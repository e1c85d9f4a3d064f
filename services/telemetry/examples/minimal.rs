//! The shortest service: `cargo run -p telemetry --example minimal`, then `curl localhost:3000/hello/you`.

use std::process::ExitCode;

use axum::extract::Path;
use axum::{Router, routing::get};
use telemetry::{Running, run, service};

fn main() -> ExitCode {
    run(service!(), |_env| Ok(()), serve)
}

async fn serve((): (), running: Running) -> std::io::Result<()> {
    let app = Router::new().route("/hello/{name}", get(hello)).layer(telemetry::http::server_layer());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    running.ready();
    axum::serve(listener, app).with_graceful_shutdown(async move { running.stopping().await }).await
}

#[tracing::instrument]
async fn hello(Path(name): Path<String>) -> String {
    tracing::info!(name.length = name.len(), "greeting");
    format!("Hello, {name}!\n")
}
