//! A user-service and an inventory-service that behave as the order's number says. Order N belongs to user N.

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

/// What no caller may see.
pub(crate) const SECRET: &str = "hunter2";

/// The order whose user-service never answers.
pub(crate) const SLOW_USER: i64 = 13;

/// Orders that user-service spoils, and what the caller is told.
pub(crate) const USERS: [(i64, u16); 8] =
    [(11, 502), (12, 502), (SLOW_USER, 504), (14, 504), (15, 502), (16, 502), (17, 502), (18, 502)];

/// Orders that inventory-service spoils, and what the caller is told.
pub(crate) const INVENTORY: [(i64, u16); 11] = [
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

/// What the two were sent.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) by_users: Vec<Headers>,
    pub(crate) by_inventory: Vec<Headers>,
    /// Orders for which stock was asked for.
    pub(crate) reserved: Vec<i64>,
}

/// The two services.
pub(crate) struct Fakes {
    pub(crate) users: SocketAddr,
    pub(crate) inventory: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Fakes {
    pub(crate) async fn start() -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let users = Router::new().route("/users/{id}", get(user)).with_state(Arc::clone(&seen));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inventory = listener.local_addr().unwrap();
        let service = InventoryServer::new(FakeInventory(Arc::clone(&seen)));
        let incoming = TcpIncoming::from(listener);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Self { users: spawn(users).await, inventory, seen }
    }

    pub(crate) async fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().await
    }
}

fn texts(headers: &HeaderMap) -> Headers {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

async fn user(State(seen): State<Arc<Mutex<Seen>>>, Path(id): Path<i64>, headers: HeaderMap) -> Response {
    seen.lock().await.by_users.push(texts(&headers));
    match id {
        11 => (StatusCode::INTERNAL_SERVER_ERROR, SECRET).into_response(),
        12 => StatusCode::NOT_FOUND.into_response(),
        SLOW_USER => pending().await,
        // A head, and a body that does not come.
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

struct FakeInventory(Arc<Mutex<Seen>>);

#[tonic::async_trait]
impl Inventory for FakeInventory {
    async fn reserve(
        &self,
        request: Request<ReserveRequest>,
    ) -> Result<tonic::Response<ReserveResponse>, Status> {
        let headers = texts(&request.metadata().clone().into_headers());
        let order = request.into_inner().order_id;
        {
            let mut seen = self.0.lock().await;
            seen.by_inventory.push(headers);
            seen.reserved.push(order);
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
