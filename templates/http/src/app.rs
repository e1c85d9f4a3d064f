//! The routes of the service and their handlers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use service_common::request::Id;
use telemetry::http::panic::catch_panics;
use telemetry::http::problem::{self, Problem};

use crate::details::{Details, DetailsClient, DetailsError};

/// There are items 1 to this number.
const LAST_ITEM: i64 = 100;

/// Returns the router of the service.
pub fn app(details: DetailsClient) -> Router {
    Router::new()
        .route("/template-http/{id}", get(read))
        .route("/template-http/{id}/details", get(read_details))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn(catch_panics))
        .layer(telemetry::http::server_layer().trace_response(true))
        .with_state(details)
}

/// The response body of `GET /template-http/{id}`.
#[derive(Serialize)]
struct Item {
    id: i64,
    details: Details,
}

async fn read(State(client): State<DetailsClient>, Id(id): Id) -> Result<Json<Item>, DetailsError> {
    let details = client.read(id).await?;
    tracing::info!(item.id = id, "item read");
    Ok(Json(Item { id, details }))
}

/// Stands for the service that has the details. Remove this route when the client calls that service.
async fn read_details(Id(id): Id) -> Result<Json<Details>, DetailsError> {
    if id > LAST_ITEM {
        return Err(DetailsError::NotFound(id));
    }
    Ok(Json(Details { text: format!("Details of item {id}") }))
}

impl IntoResponse for DetailsError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound(id) => Problem::new(StatusCode::NOT_FOUND, format!("There is no item {id}.")),
            Self::Call(_) => {
                // This is the only log line about the failure. The exception is recorded on the span in which it
                // occurred.
                tracing::error!(error = telemetry::chain(&self), "request failed");
                Problem::new(StatusCode::BAD_GATEWAY, "The details of the item could not be read.")
            }
        }
        .into_response()
    }
}
