//! A gRPC server with limits, the health service and reflection.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::response::IntoResponse;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::body::Body;
use tonic::codegen::{Service, http::Request};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

/// The timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval and the timeout of HTTP/2 pings. A connection whose ping times out is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// The maximum time that open streams may continue after the stop signal. This time is limited because a stream on
/// which a client watches the health service never ends by itself.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum number of concurrent calls on one connection.
const MAX_CONCURRENT_CALLS: u32 = 256;

/// The reason why the server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The file descriptor sets cannot be read.
    #[error("cannot read the file descriptor sets for reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server failed.
    #[error("the gRPC server failed")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves `service` until `stopping` completes, then finishes the calls in flight within three seconds and returns.
/// `descriptors` is the file descriptor set of the service, for reflection.
///
/// When `stopping` completes, the health service reports `NOT_SERVING`, so clients that watch the health service use
/// another server.
///
/// See the [gRPC health checking protocol](https://github.com/grpc/grpc/blob/master/doc/health-checking.md).
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    descriptors: &'static [u8],
    stopping: impl Future<Output = ()>,
) -> Result<(), ServeError>
where
    S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<S>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(descriptors)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;

    let (stop_sender, stop_receiver) = oneshot::channel();
    let serving = Server::builder()
        .layer(telemetry::grpc::server_layer())
        .timeout(CALL_TIMEOUT)
        .max_concurrent_streams(MAX_CONCURRENT_CALLS)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(service)
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            stopping.await;
            health.set_not_serving::<S>().await;
            // The empty name stands for the whole server.
            health.set_service_status("", ServingStatus::NotServing).await;
            let _ = stop_sender.send(());
        });
    tokio::select! {
        result = serving => Ok(result?),
        () = async { let _ = stop_receiver.await; tokio::time::sleep(DRAIN_TIMEOUT).await } => {
            tracing::info!("closing the streams that are still open");
            Ok(())
        }
    }
}
