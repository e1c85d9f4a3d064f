//! Serving gRPC within bounds.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use crate::proto::DESCRIPTORS;
use crate::proto::inventory_server::InventoryServer;
use crate::service::Service;
use crate::stock::Stock;

/// Bytes of a message. A hundred items are some four thousand.
const MAX_MESSAGE: usize = 64 * 1024;

/// A call that has not ended by then is ended.
const CALL_WITHIN: Duration = Duration::from_secs(10);

/// A client that does not answer a ping within this is gone, and its connection with it.
const PING: Duration = Duration::from_secs(20);

/// After the signal to stop, streams that are still open are ended: a health watch never ends by itself.
const DRAIN: Duration = Duration::from_secs(3);

/// Calls at a time on one connection.
const MAX_CALLS: u32 = 256;

/// Serves `stock` until `stopping` resolves, then finishes the calls in flight, within three seconds, and returns. Health says that it does
/// not serve from the moment it is told to stop, so that callers who watch go elsewhere.
pub async fn serve_on(
    listener: TcpListener,
    stock: Stock,
    stopping: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<InventoryServer<Service>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("the protocol's description cannot be read")?;
    let inventory = InventoryServer::new(Service::new(stock)).max_decoding_message_size(MAX_MESSAGE);

    let (stopped, overdue) = oneshot::channel();
    let serving = Server::builder()
        .layer(telemetry::grpc::server_layer())
        .timeout(CALL_WITHIN)
        .max_concurrent_streams(MAX_CALLS)
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PING))
        .add_service(inventory)
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            stopping.await;
            health.set_not_serving::<InventoryServer<Service>>().await;
            // The name of the server as a whole.
            health.set_service_status("", ServingStatus::NotServing).await;
            let _ = stopped.send(());
        });
    tokio::select! {
        served = serving => served.context("gRPC cannot be served"),
        () = async { let _ = overdue.await; tokio::time::sleep(DRAIN).await } => {
            tracing::info!("streams that were still open are ended");
            Ok(())
        }
    }
}
