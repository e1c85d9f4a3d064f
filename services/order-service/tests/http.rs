//! Tests of the service over HTTP, with `SQLite` and fake upstreams.
#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper should fail the test")]

mod upstreams;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use order_service::{AppState, OrderStore, Upstreams, app};
use serde_json::json;
use service_common::testing::{Response, send, spawn, sqlite, start_telemetry, unused_address};
use tempfile::TempDir;
use tokio::net::TcpListener;
use upstreams::{FakeUpstreams, SLOW_USER};

/// The timeout of calls to the upstreams. It is short to keep the tests fast.
const TIMEOUT: Duration = Duration::from_millis(300);

struct Service {
    address: SocketAddr,
    orders: OrderStore,
    directory: TempDir,
}

/// Starts the service with upstreams at these addresses.
async fn start_with(users: SocketAddr, inventory: SocketAddr) -> Service {
    start_telemetry();
    let directory = tempfile::tempdir().unwrap();
    let orders = OrderStore::open(&sqlite(directory.path()), false).await.unwrap();
    let url = |address: SocketAddr| format!("http://{address}").parse().unwrap();
    let upstreams = Upstreams { users: url(users), inventory: url(inventory), timeout: TIMEOUT };
    let app = app(AppState::new(orders.clone(), &upstreams, "testing").unwrap());
    Service { address: spawn(app).await, orders, directory }
}

/// Starts the service with fake upstreams.
async fn start() -> (Service, FakeUpstreams) {
    let fakes = FakeUpstreams::start().await;
    (start_with(fakes.users, fakes.inventory).await, fakes)
}

async fn get(service: &Service, order: i64) -> Response {
    send(service.address, &format!("GET /orders/{order}"), &[], b"").await
}

#[tokio::test]
async fn responds_with_the_order_its_user_and_its_reservation() {
    let (service, fakes) = start().await;
    let response = get(&service, 1).await;
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, Some("application/json")),
        "{response:?}"
    );
    let order = json!({
        "id": 1,
        "user": {"id": 1, "name": "User 1"},
        "items": [
            {"sku": "GEAR-20", "quantity": 3}, {"sku": "LENS-35", "quantity": 4}, {"sku": "MOTOR-12V", "quantity": 5},
        ],
        "reservation": {"id": "R-1"},
    });
    assert_eq!(response.json(), order);
    assert_eq!(fakes.received().await.orders, [1]);
}

#[tokio::test]
async fn rejects_invalid_requests() {
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
    let response = send(service.address, "PUT /orders/1", &[], b"").await;
    assert_eq!(response.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn reports_failures_of_user_service_and_reserves_nothing() {
    let (service, fakes) = start().await;
    for (order, status) in upstreams::USER_SERVICE_FAILURES {
        let started = Instant::now();
        let response = get(&service, order).await;
        response.assert_problem(status, &format!("order {order}"));
        assert!(!response.body.contains(upstreams::SECRET), "{response:?}");
        assert!(started.elapsed() < TIMEOUT * 5, "order {order} took {:?}", started.elapsed());
    }
    assert_eq!(fakes.received().await.orders, Vec::<i64>::new());
}

#[tokio::test]
async fn reports_failures_of_inventory_service() {
    let (service, _fakes) = start().await;
    for (order, status) in upstreams::INVENTORY_SERVICE_FAILURES {
        let started = Instant::now();
        let response = get(&service, order).await;
        response.assert_problem(status, &format!("order {order}"));
        assert!(!response.body.contains(upstreams::SECRET), "{response:?}");
        assert!(started.elapsed() < TIMEOUT * 5, "order {order} took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn responds_with_502_if_an_upstream_is_down() {
    let fakes = FakeUpstreams::start().await;
    let service = start_with(unused_address().await, fakes.inventory).await;
    get(&service, 1).await.assert_problem(502, "without user-service");
    let service = start_with(fakes.users, unused_address().await).await;
    for _ in 0..3 {
        get(&service, 1).await.assert_problem(502, "without inventory-service");
    }
}

#[tokio::test]
async fn responds_with_504_if_an_upstream_never_responds() {
    let fakes = FakeUpstreams::start().await;
    // The listener never accepts a connection, so connections stay in its backlog.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = (silent.local_addr().unwrap(), silent);
    let service = start_with(silent.0, fakes.inventory).await;
    get(&service, 1).await.assert_problem(504, "a silent user-service");
    let service = start_with(fakes.users, silent.0).await;
    get(&service, 1).await.assert_problem(504, "a silent inventory-service");
}

#[tokio::test]
async fn a_slow_upstream_does_not_delay_other_requests() {
    let (service, _fakes) = start().await;
    let started = Instant::now();
    let (slow, fast) =
        tokio::join!(get(&service, SLOW_USER), async { (get(&service, 1).await.status, started.elapsed()) });
    slow.assert_problem(504, "slow user-service");
    assert!(fast.0 == 200 && fast.1 < TIMEOUT, "{fast:?}");
}

#[tokio::test]
async fn propagates_context_and_baggage_to_every_upstream() {
    let (service, fakes) = start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let headers = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "vendor=value"),
        ("baggage", "tenant=blue,version=theirs"),
    ];
    let response = send(service.address, "GET /orders/1", &headers, b"").await;
    assert_eq!(response.status, 200, "{response:?}");
    let traceresponse = response.header("traceresponse").unwrap_or_default();
    assert!(
        traceresponse.starts_with(&format!("00-{trace}-")) && traceresponse.ends_with("-01"),
        "{response:?}"
    );
    let received = fakes.received().await;
    for (name, headers) in
        [("user-service", &received.user_requests), ("inventory-service", &received.inventory_requests)]
    {
        let header = |key: &str| headers[0].get(key).map(String::as_str).unwrap_or_default();
        assert_eq!(header("traceparent").split('-').nth(1), Some(trace), "{name}");
        assert_eq!(header("tracestate"), "vendor=value", "{name}");
        let mut baggage: Vec<_> = header("baggage").split(',').collect();
        baggage.sort_unstable();
        let version = concat!("version=", env!("CARGO_PKG_VERSION"));
        assert_eq!(baggage, ["environment=testing", "tenant=blue", version], "{name}");
    }
    assert_eq!(received.inventory_requests[0]["grpc-timeout"], "300000u");
}

#[tokio::test]
async fn responds_with_503_if_the_store_is_closed() {
    let (service, _fakes) = start().await;
    service.orders.close().await;
    get(&service, 1).await.assert_problem(503, "with a closed store");
}

#[tokio::test]
async fn orders_998_and_999_exist_only_if_faults_are_enabled() {
    let (service, _fakes) = start().await;
    service.orders.close().await;
    for (faults, found) in [(true, true), (true, true), (false, false)] {
        let orders = OrderStore::open(&sqlite(service.directory.path()), faults).await.unwrap();
        for id in [998, 999] {
            assert_eq!(orders.read(id).await.unwrap().map(|order| order.user_id), found.then_some(id));
        }
        orders.close().await;
    }
}
