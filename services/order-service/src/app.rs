//! The routes.

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
use crate::orders::{Item, Orders};
use crate::settings::Upstreams;
use crate::stock::Stock;
use crate::users::{User, Users};

/// What the routes share.
#[derive(Clone, Debug)]
pub struct App {
    orders: Orders,
    users: Users,
    stock: Stock,
    environment: Arc<str>,
}

impl App {
    /// Connects to nothing yet. Fails where a client cannot be set up for its URL.
    pub fn new(orders: Orders, upstreams: &Upstreams, environment: &str) -> anyhow::Result<Self> {
        Ok(Self {
            orders,
            users: Users::new(upstreams.users.clone(), upstreams.deadline)?,
            stock: Stock::new(&upstreams.inventory, upstreams.deadline)?,
            environment: environment.into(),
        })
    }
}

/// The service.
pub fn app(app: App) -> Router {
    Router::new()
        .route("/orders/{id}", get(read))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn(catch_panics))
        .layer(telemetry::http::server_layer())
        .with_state(app)
}

/// An order as sent.
#[derive(Serialize)]
struct Answer {
    id: i64,
    user: User,
    items: Vec<Item>,
    reservation: Reservation,
}

#[derive(Serialize)]
struct Reservation {
    id: String,
}

async fn read(State(app): State<App>, Id(id): Id) -> Result<axum::Json<Answer>, Error> {
    let order = app.orders.read(id).await?.ok_or(Error::Unknown(id))?;
    let context = baggage::with_origin(&app.environment);
    // One after the other: nothing is set aside for an order whose user cannot be read.
    let user = app.users.read(order.user_id).with_context(context.clone()).await?;
    let reservation = app.stock.reserve(&order).with_context(context).await?;
    tracing::info!(
        order.id = id,
        user.id = order.user_id,
        order.items = order.items.len(),
        "order read, stock reserved"
    );
    Ok(axum::Json(Answer { id, user, items: order.items, reservation: Reservation { id: reservation } }))
}
