//! Tests of the service over gRPC.
#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper should fail the test")]

use std::time::Duration;

use inventory_service::proto::inventory_client::InventoryClient;
use inventory_service::proto::{Item, ReserveRequest};
use inventory_service::{Stock, serve_on};
use service_common::grpc::ServeError;
use service_common::testing::start_telemetry;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;

struct Server {
    channel: Channel,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

async fn start() -> Server {
    start_telemetry();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve_on(listener, Stock::new(&[("GEAR-20", 5), ("LENS-35", 1)]), async {
        let _ = stopped.await;
    }));
    Server { channel: endpoint.connect().await.unwrap(), stop, task }
}

fn request(order_id: i64, items: &[(&str, u32)]) -> ReserveRequest {
    let items = items.iter().map(|&(sku, quantity)| Item { sku: sku.to_owned(), quantity });
    ReserveRequest { order_id, items: items.collect() }
}

async fn reserve(server: &Server, order_id: i64, items: &[(&str, u32)]) -> Result<String, Status> {
    let mut client = InventoryClient::new(server.channel.clone());
    Ok(client.reserve(request(order_id, items)).await?.into_inner().reservation_id)
}

#[tokio::test]
async fn reserves_once_for_repeated_requests() {
    let server = start().await;
    for _ in 0..3 {
        assert_eq!(reserve(&server, 7, &[("GEAR-20", 4), ("LENS-35", 1)]).await.unwrap(), "R-7");
    }
    assert_eq!(reserve(&server, 8, &[("GEAR-20", 1)]).await.unwrap(), "R-8");
}

#[tokio::test]
async fn rejects_requests_with_the_documented_status() {
    let server = start().await;
    reserve(&server, 1, &[("GEAR-20", 4)]).await.unwrap();
    for (order, items, code) in [
        (2, &[("GEAR-20", 2)][..], Code::FailedPrecondition),
        (2, &[("GEAR-20", 1), ("PANEL-A4", 1)], Code::NotFound),
        (1, &[("GEAR-20", 1)], Code::AlreadyExists),
        (2, &[], Code::InvalidArgument),
        (0, &[("GEAR-20", 1)], Code::InvalidArgument),
        (2, &[("gear", 1)], Code::InvalidArgument),
        (2, &[("GEAR-20", 0)], Code::InvalidArgument),
        (2, &[("GEAR-20", u32::MAX)], Code::InvalidArgument),
    ] {
        let status = reserve(&server, order, items).await.expect_err(&format!("{order} {items:?}"));
        assert_eq!(status.code(), code, "{order} {items:?}: {status}");
    }
    let status = reserve(&server, 0, &[("gear", 1)]).await.unwrap_err();
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["order_id", "items[0].sku"]);
}

#[tokio::test]
async fn limits_the_size_of_a_message() {
    let server = start().await;
    let long = "A".repeat(64 * 1024);
    let status = reserve(&server, 1, &[(&long, 1)]).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
}

#[tokio::test]
async fn reports_health_and_stops_despite_an_open_watch() {
    let server = start().await;
    let mut health = HealthClient::new(server.channel.clone());
    let serving = i32::from(ServingStatus::Serving);
    for name in ["", "sightline.inventory.v1.Inventory"] {
        let response = health.check(HealthCheckRequest { service: name.to_owned() }).await.unwrap();
        assert_eq!(response.into_inner().status, serving, "{name:?}");
    }
    let unknown = health.check(HealthCheckRequest { service: "nothing".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let watched = HealthCheckRequest { service: "sightline.inventory.v1.Inventory".to_owned() };
    let mut watch = health.watch(watched).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, serving);
    server.stop.send(()).unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().status, i32::from(ServingStatus::NotServing));
    // The watch of the health service is still open and never ends by itself.
    tokio::time::timeout(Duration::from_secs(4), server.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let server = start().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(server.channel.clone());
    let responses = client.server_reflection_info(futures_util::stream::iter([request])).await.unwrap();
    let response = responses.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = response.message_response else {
        panic!("{response:?}")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"sightline.inventory.v1.Inventory".to_owned()), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()), "{names:?}");
}
