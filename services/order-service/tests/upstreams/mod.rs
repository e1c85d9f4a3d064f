//! Fake upstreams. Their behaviour depends on the order ID. Order N belongs to user N.

use std::collections::HashMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use inventory_service::proto::inventory_server::{Inventory, InventoryServer};
use inventory_service::proto::{ReserveRequest, ReserveResponse};
use service_common::testing::spawn;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, MutexGuard};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Status};

/// The fakes include this text in their responses. It must not reach a caller.
pub(crate) const SECRET: &str = "hunter2";

/// The order for which user-service never responds.
pub(crate) const SLOW_USER: i64 = 13;

/// The orders for which user-service fails, with the status that the caller gets.
pub(crate) const USER_SERVICE_FAILURES: [(i64, u16); 8] =
    [(11, 502), (12, 502), (SLOW_USER, 504), (14, 504), (15, 502), (16, 502), (17, 502), (18, 502)];

/// The orders for which inventory-service fails, with the status that the caller gets.
pub(crate) const INVENTORY_SERVICE_FAILURES: [(i64, u16); 11] = [
    (21, 502),
    (22, 504),
    (23, 504),
    (24, 504),
    (25, 409),
    (26, 409),
    (27, 409),
    (28, 502),
    (29, 502),
    (30, 502),
    (31, 502),
];

type Headers = HashMap<String, String>;

/// The requests that the fakes have received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) user_requests: Vec<Headers>,
    pub(crate) inventory_requests: Vec<Headers>,
    /// The IDs of the orders in requests to inventory-service.
    pub(crate) orders: Vec<i64>,
}

/// A fake user-service and a fake inventory-service.
pub(crate) struct FakeUpstreams {
    pub(crate) users: SocketAddr,
    pub(crate) inventory: SocketAddr,
    received: Arc<Mutex<Received>>,
}

impl FakeUpstreams {
    pub(crate) async fn start() -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let users = Router::new().route("/users/{id}", get(user)).with_state(Arc::clone(&received));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inventory = listener.local_addr().unwrap();
        let service = InventoryServer::new(FakeInventory(Arc::clone(&received)));
        let incoming = TcpIncoming::from(listener);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Self { users: spawn(users).await, inventory, received }
    }

    pub(crate) async fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().await
    }
}

fn headers_as_text(headers: &HeaderMap) -> Headers {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

async fn user(
    State(received): State<Arc<Mutex<Received>>>,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Response {
    received.lock().await.user_requests.push(headers_as_text(&headers));
    match id {
        11 => (StatusCode::INTERNAL_SERVER_ERROR, SECRET).into_response(),
        12 => StatusCode::NOT_FOUND.into_response(),
        SLOW_USER => pending().await,
        // The response has headers, but its body never arrives.
        14 => Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>())
            .into_response(),
        15 => SECRET.into_response(),
        16 => format!(r#"{{"id": 16, "name": "{}"}}"#, "x".repeat(1024 * 1024)).into_response(),
        17 => Redirect::temporary("/users/1").into_response(),
        18 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        id => {
            format!(r#"{{"id": {id}, "name": "User {id}", "email": "user{id}@example.org"}}"#).into_response()
        }
    }
}

struct FakeInventory(Arc<Mutex<Received>>);

#[tonic::async_trait]
impl Inventory for FakeInventory {
    async fn reserve(
        &self,
        request: Request<ReserveRequest>,
    ) -> Result<tonic::Response<ReserveResponse>, Status> {
        let headers = headers_as_text(&request.metadata().clone().into_headers());
        let order = request.into_inner().order_id;
        {
            let mut received = self.0.lock().await;
            received.inventory_requests.push(headers);
            received.orders.push(order);
        }
        let code = match order {
            21 => Code::Unavailable,
            22 => Code::DeadlineExceeded,
            23 => Code::Cancelled,
            24 => pending().await,
            25 => Code::FailedPrecondition,
            26 => Code::ResourceExhausted,
            27 => Code::AlreadyExists,
            28 => Code::NotFound,
            29 => Code::InvalidArgument,
            30 => Code::Internal,
            31 => Code::Unimplemented,
            order => {
                return Ok(tonic::Response::new(ReserveResponse { reservation_id: format!("R-{order}") }));
            }
        };
        Err(Status::new(code, SECRET))
    }
}
