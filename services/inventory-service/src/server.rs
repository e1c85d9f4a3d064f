//! The gRPC server.

use std::future::Future;

use service_common::grpc::{self, ServeError};
use tokio::net::TcpListener;

use crate::proto::DESCRIPTORS;
use crate::proto::inventory_server::InventoryServer;
use crate::service::Service;
use crate::stock::Stock;

/// The maximum size of a request message, in bytes. The size of a request with a hundred items is about 4000 bytes.
const MAX_MESSAGE_SIZE: usize = 64 * 1024;

/// Serves `stock` until `stopping` completes, then finishes the calls in flight within three seconds and returns.
pub async fn serve_on(
    listener: TcpListener,
    stock: Stock,
    stopping: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let inventory = InventoryServer::new(Service::new(stock)).max_decoding_message_size(MAX_MESSAGE_SIZE);
    grpc::serve(listener, inventory, DESCRIPTORS, stopping).await
}
