//! The routes of the service and their handlers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::routing::get;
use opentelemetry::trace::FutureExt as _;
use serde::Serialize;
use service_common::request::Id;
use telemetry::http::panic::catch_panics;
use telemetry::http::problem;

use crate::baggage;
use crate::error::Error;
use crate::inventory::InventoryServiceClient;
use crate::orders::{Item, OrderStore};
use crate::settings::Upstreams;
use crate::users::{User, UserServiceClient};

/// The state that the handlers share.
#[derive(Clone, Debug)]
pub struct AppState {
    orders: OrderStore,
    users: UserServiceClient,
    inventory: InventoryServiceClient,
    environment: Arc<str>,
}

impl AppState {
    /// Creates the clients of the upstreams. The clients connect on their first call.
    ///
    /// `environment` is the value of the baggage entry `environment`. Fails if a client cannot be created for its URL.
    pub fn new(orders: OrderStore, upstreams: &Upstreams, environment: &str) -> anyhow::Result<Self> {
        Ok(Self {
            orders,
            users: UserServiceClient::new(upstreams.users.clone(), upstreams.timeout)?,
            inventory: InventoryServiceClient::new(&upstreams.inventory, upstreams.timeout)?,
            environment: environment.into(),
        })
    }
}

/// Returns the router of the service.
pub fn app(state: AppState) -> Router {
    Router::new()
        .route("/orders/{id}", get(read))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn(catch_panics))
        .layer(telemetry::http::server_layer().trace_response(true))
        .with_state(state)
}

/// The response body of `GET /orders/{id}`.
#[derive(Serialize)]
struct OrderResponse {
    id: i64,
    user: User,
    items: Vec<Item>,
    reservation: Reservation,
}

#[derive(Serialize)]
struct Reservation {
    id: String,
}

async fn read(State(state): State<AppState>, Id(id): Id) -> Result<axum::Json<OrderResponse>, Error> {
    let order = state.orders.read(id).await?.ok_or(Error::NotFound(id))?;
    let context = baggage::with_origin(&state.environment);
    // The calls are not parallel, so that no stock is reserved for an order whose user cannot be read.
    let user = state.users.read(order.user_id).with_context(context.clone()).await?;
    let reservation = state.inventory.reserve(&order).with_context(context).await?;
    tracing::info!(
        order.id = id,
        user.id = order.user_id,
        order.items = order.items.len(),
        "order read, stock reserved"
    );
    let reservation = Reservation { id: reservation };
    Ok(axum::Json(OrderResponse { id, user, items: order.items, reservation }))
}
