//! The gRPC server, with limits.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use crate::details::DetailsClient;
use crate::proto::{DESCRIPTORS, template_grpc_server::TemplateGrpcServer};

use crate::service::Service;

/// The maximum size of a request message, in bytes.
const MAX_MESSAGE_SIZE: usize = 64 * 1024;

/// The timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval and the timeout of HTTP/2 pings. A connection whose ping times out is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// The maximum time that open streams may continue after the stop signal. A stream on which a client watches the health
/// service never ends by itself.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Serves until `stopping` completes, then finishes the calls in flight within three seconds and returns.
pub async fn serve_on(
    listener: TcpListener,
    details: DetailsClient,
    stopping: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<TemplateGrpcServer<Service>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("cannot read the file descriptor sets for reflection")?;
    let service = TemplateGrpcServer::new(Service::new(details)).max_decoding_message_size(MAX_MESSAGE_SIZE);

    let (stop_sender, stop_receiver) = oneshot::channel();
    let serving = Server::builder()
        .layer(telemetry::grpc::server_layer())
        .timeout(CALL_TIMEOUT)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(service)
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            stopping.await;
            health.set_not_serving::<TemplateGrpcServer<Service>>().await;
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
