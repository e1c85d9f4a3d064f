//! A gRPC server with limits.

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

/// The maximum size of a request message, in bytes. The size of a request with a hundred items is about 4000 bytes.
const MAX_MESSAGE_SIZE: usize = 64 * 1024;

/// The timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval and the timeout of HTTP/2 pings. A connection whose ping times out is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// The maximum time that open streams may continue after the stop signal. This time is limited because a stream on
/// which a client watches the health service never ends by itself.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum number of concurrent calls on one connection.
const MAX_CONCURRENT_CALLS: u32 = 256;

/// Serves `stock` until `stopping` completes, then finishes the calls in flight within three seconds and returns.
///
/// When `stopping` completes, the health service reports `NOT_SERVING`, so clients that watch the health service use
/// another server.
///
/// See the [gRPC health checking protocol](https://github.com/grpc/grpc/blob/master/doc/health-checking.md).
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
        .context("cannot read the file descriptor sets for reflection")?;
    let inventory = InventoryServer::new(Service::new(stock)).max_decoding_message_size(MAX_MESSAGE_SIZE);

    let (stop_sender, stop_receiver) = oneshot::channel();
    let serving = Server::builder()
        .layer(telemetry::grpc::server_layer())
        .timeout(CALL_TIMEOUT)
        .max_concurrent_streams(MAX_CONCURRENT_CALLS)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(inventory)
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            stopping.await;
            health.set_not_serving::<InventoryServer<Service>>().await;
            // The empty name stands for the whole server.
            health.set_service_status("", ServingStatus::NotServing).await;
            let _ = stop_sender.send(());
        });
    tokio::select! {
        result = serving => result.context("the gRPC server failed"),
        () = async { let _ = stop_receiver.await; tokio::time::sleep(DRAIN_TIMEOUT).await } => {
            tracing::info!("closing the streams that are still open");
            Ok(())
        }
    }
}
