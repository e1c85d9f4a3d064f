//! The routes of the service and their handlers.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::from_fn;
use axum::routing::{get, post};
use serde_json::{Map, Value};
use service_common::request::Id;
use telemetry::http::json::Json;
use telemetry::http::panic::catch_panics;
use telemetry::http::problem;

use crate::error::Error;
use crate::input::NewUser;
use crate::users::{User, UserStore};

/// The maximum size of a request body, in bytes.
const MAX_BODY_SIZE: usize = 64 * 1024;

/// Returns the router of the service, with `users` as its store.
pub fn app(users: UserStore) -> Router {
    Router::new()
        .route("/users/{id}", get(read))
        .route("/users", post(add))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_SIZE))
        .layer(from_fn(catch_panics))
        .layer(telemetry::http::server_layer().trace_response(true))
        .with_state(users)
}

async fn read(State(users): State<UserStore>, Id(id): Id) -> Result<axum::Json<User>, Error> {
    let user = users.read(id).await?.ok_or(Error::NotFound(id))?;
    tracing::info!(user.id = id, "user read");
    Ok(axum::Json(user))
}

type Created = (StatusCode, [(HeaderName, String); 1], axum::Json<User>);

async fn add(
    State(users): State<UserStore>,
    Json(fields): Json<Map<String, Value>>,
) -> Result<Created, Error> {
    let user = users.add(&NewUser::parse(&fields)?).await?;
    tracing::info!(user.id = user.id, "user stored");
    let location = (header::LOCATION, format!("/users/{}", user.id));
    Ok((StatusCode::CREATED, [location], axum::Json(user)))
}
