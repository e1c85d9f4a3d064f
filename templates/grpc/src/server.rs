//! The gRPC server.

use std::future::Future;

use service_common::grpc::{self, ServeError};
use tokio::net::TcpListener;

use crate::details::DetailsClient;
use crate::proto::{DESCRIPTORS, template_grpc_server::TemplateGrpcServer};
use crate::service::Service;

/// The maximum size of a request message, in bytes.
const MAX_MESSAGE_SIZE: usize = 64 * 1024;

/// Serves until `stopping` completes, then finishes the calls in flight within three seconds and returns.
pub async fn serve_on(
    listener: TcpListener,
    details: DetailsClient,
    stopping: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let service = TemplateGrpcServer::new(Service::new(details)).max_decoding_message_size(MAX_MESSAGE_SIZE);
    grpc::serve(listener, service, DESCRIPTORS, stopping).await
}
