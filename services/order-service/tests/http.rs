//! The service over real HTTP, on `SQLite`, between a caller and two services that do as the order's number says.
#![expect(clippy::unwrap_used, reason = "a test ends where its tools fail")]

mod upstreams;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use order_service::{App, Orders, Upstreams, app};
use serde_json::json;
use service_common::testing::{Reply, closed_port, send, spawn, sqlite, telemetry};
use tempfile::TempDir;
use tokio::net::TcpListener;
use upstreams::{Fakes, SLOW_USER};

/// Short, so that what is late is soon late.
const DEADLINE: Duration = Duration::from_millis(300);

struct Service {
    address: SocketAddr,
    orders: Orders,
    directory: TempDir,
}

/// The service with these two beside it.
async fn start_between(users: SocketAddr, inventory: SocketAddr) -> Service {
    telemetry();
    let directory = tempfile::tempdir().unwrap();
    let orders = Orders::open(&sqlite(directory.path()), false).await.unwrap();
    let url = |address: SocketAddr| format!("http://{address}").parse().unwrap();
    let upstreams = Upstreams { users: url(users), inventory: url(inventory), deadline: DEADLINE };
    let app = app(App::new(orders.clone(), &upstreams, "testing").unwrap());
    Service { address: spawn(app).await, orders, directory }
}

async fn start() -> (Service, Fakes) {
    let fakes = Fakes::start().await;
    (start_between(fakes.users, fakes.inventory).await, fakes)
}

async fn get(service: &Service, order: i64) -> Reply {
    send(service.address, &format!("GET /orders/{order}"), &[], b"").await
}

#[tokio::test]
async fn an_order_comes_with_its_user_and_its_reservation() {
    let (service, fakes) = start().await;
    let reply = get(&service, 1).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{reply:?}");
    let order = json!({
        "id": 1,
        "user": {"id": 1, "name": "User 1"},
        "items": [
            {"sku": "GEAR-20", "quantity": 3}, {"sku": "LENS-35", "quantity": 4}, {"sku": "MOTOR-12V", "quantity": 5},
        ],
        "reservation": {"id": "R-1"},
    });
    assert_eq!(reply.json(), order);
    assert_eq!(fakes.seen().await.reserved, [1]);
}

#[tokio::test]
async fn requests_that_are_refused() {
    let (service, _fakes) = start().await;
    for (request, status) in [
        ("GET /orders/101", 404),
        ("GET /orders/998", 404),
        ("GET /orders/999", 404),
        ("GET /", 404),
        ("GET /orders", 404),
        ("GET /orders/1/", 404),
        ("GET /%ff/%", 404),
        ("GET /orders/0", 400),
        ("GET /orders/-1", 400),
        ("GET /orders/1.5", 400),
        ("GET /orders/one", 400),
        ("GET /orders/%ff", 400),
        ("GET /orders/9223372036854775808", 400),
        ("DELETE /orders/1", 405),
        ("POST /orders/1", 405),
    ] {
        send(service.address, request, &[], b"").await.assert_problem(status, request);
    }
    let reply = send(service.address, "PUT /orders/1", &[], b"").await;
    assert_eq!(reply.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn what_user_service_does_wrong_is_told_and_nothing_is_reserved() {
    let (service, fakes) = start().await;
    for (order, status) in upstreams::USERS {
        let asked = Instant::now();
        let reply = get(&service, order).await;
        reply.assert_problem(status, &format!("order {order}"));
        assert!(!reply.body.contains(upstreams::SECRET), "{reply:?}");
        assert!(asked.elapsed() < DEADLINE * 5, "order {order} took {:?}", asked.elapsed());
    }
    assert_eq!(fakes.seen().await.reserved, Vec::<i64>::new());
}

#[tokio::test]
async fn what_inventory_service_does_wrong_is_told() {
    let (service, _fakes) = start().await;
    for (order, status) in upstreams::INVENTORY {
        let asked = Instant::now();
        let reply = get(&service, order).await;
        reply.assert_problem(status, &format!("order {order}"));
        assert!(!reply.body.contains(upstreams::SECRET), "{reply:?}");
        assert!(asked.elapsed() < DEADLINE * 5, "order {order} took {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn a_service_that_is_down_is_a_bad_gateway() {
    let fakes = Fakes::start().await;
    let service = start_between(closed_port().await, fakes.inventory).await;
    get(&service, 1).await.assert_problem(502, "without user-service");
    let service = start_between(fakes.users, closed_port().await).await;
    for _ in 0..3 {
        get(&service, 1).await.assert_problem(502, "without inventory-service");
    }
}

#[tokio::test]
async fn a_service_that_takes_connections_and_says_nothing_is_late() {
    let fakes = Fakes::start().await;
    // Connections wait in its queue; nobody takes them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = (silent.local_addr().unwrap(), silent);
    let service = start_between(silent.0, fakes.inventory).await;
    get(&service, 1).await.assert_problem(504, "a silent user-service");
    let service = start_between(fakes.users, silent.0).await;
    get(&service, 1).await.assert_problem(504, "a silent inventory-service");
}

#[tokio::test]
async fn a_late_answer_for_one_does_not_delay_another() {
    let (service, _fakes) = start().await;
    let asked = Instant::now();
    let (late, prompt) =
        tokio::join!(get(&service, SLOW_USER), async { (get(&service, 1).await.status, asked.elapsed()) });
    late.assert_problem(504, "late");
    assert!(prompt.0 == 200 && prompt.1 < DEADLINE, "{prompt:?}");
}

#[tokio::test]
async fn context_and_baggage_go_with_every_call() {
    let (service, fakes) = start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let headers = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "vendor=value"),
        ("baggage", "tenant=blue,version=theirs"),
    ];
    let reply = send(service.address, "GET /orders/1", &headers, b"").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let seen = fakes.seen().await;
    for (name, headers) in [("user-service", &seen.by_users), ("inventory-service", &seen.by_inventory)] {
        let header = |key: &str| headers[0].get(key).map(String::as_str).unwrap_or_default();
        assert_eq!(header("traceparent").split('-').nth(1), Some(trace), "{name}");
        assert_eq!(header("tracestate"), "vendor=value", "{name}");
        let mut baggage: Vec<_> = header("baggage").split(',').collect();
        baggage.sort_unstable();
        let version = concat!("version=", env!("CARGO_PKG_VERSION"));
        assert_eq!(baggage, ["environment=testing", "tenant=blue", version], "{name}");
    }
    assert_eq!(seen.by_inventory[0]["grpc-timeout"], "300000u");
}

#[tokio::test]
async fn a_store_that_is_gone_is_said_to_be() {
    let (service, _fakes) = start().await;
    service.orders.close().await;
    get(&service, 1).await.assert_problem(503, "without a store");
}

#[tokio::test]
async fn orders_of_the_built_in_faults_are_there_when_asked_for_and_gone_when_not() {
    let (service, _fakes) = start().await;
    service.orders.close().await;
    for (faults, found) in [(true, true), (true, true), (false, false)] {
        let orders = Orders::open(&sqlite(service.directory.path()), faults).await.unwrap();
        for id in [998, 999] {
            assert_eq!(orders.read(id).await.unwrap().map(|order| order.user_id), found.then_some(id));
        }
        orders.close().await;
    }
}
