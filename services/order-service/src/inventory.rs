//! A client for inventory-service, over gRPC.

use std::time::Duration;

use inventory_service::proto::inventory_client::InventoryClient;
use inventory_service::proto::{Item, ReserveRequest};
use reqwest::Url;
use telemetry::grpc::ClientService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::ServiceBuilder;

use crate::error::{Rejection, ReserveError, UpstreamError};
use crate::orders::Order;

const SERVICE: &str = "inventory-service";

/// The maximum size of a response, in bytes. A response contains only an ID.
const MAX_RESPONSE_SIZE: usize = 16 * 1024;

/// The interval and the timeout of HTTP/2 pings. A connection whose ping times out is replaced.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The difference between this client's own timeout and tonic's timeout. This client's timeout is longer, so that tonic
/// reports a timeout first. This client's timeout is necessary because tonic's timeout covers neither a connection that
/// is never established nor a response that starts but never ends.
const GRACE: Duration = Duration::from_millis(500);

/// A client for inventory-service.
#[derive(Clone, Debug)]
pub(crate) struct InventoryServiceClient {
    client: InventoryClient<ClientService<Channel>>,
    timeout: Duration,
}

impl InventoryServiceClient {
    /// Creates a client that connects on its first call, and reconnects when the connection is lost.
    ///
    /// `timeout` is the timeout of a call. Fails if `url` is not a valid endpoint.
    pub(crate) fn new(url: &Url, timeout: Duration) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(url.to_string())?
            .connect_timeout(timeout)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let layer = telemetry::grpc::client_layer().target(endpoint.uri());
        let channel = ServiceBuilder::new().layer(layer).service(endpoint.connect_lazy());
        let client = InventoryClient::new(channel).max_decoding_message_size(MAX_RESPONSE_SIZE);
        Ok(Self { client, timeout })
    }

    /// Reserves the items of the order and returns the ID of the reservation. A repeated call has no further effect.
    // The count is signed because tracing-opentelemetry turns an unsigned number into text.
    #[tracing::instrument(
        name = "reserve_items",
        skip_all,
        fields(order.id = order.id, order.items = i64::try_from(order.items.len()).ok())
    )]
    pub(crate) async fn reserve(&self, order: &Order) -> Result<String, ReserveError> {
        self.try_reserve(order).await.inspect_err(telemetry::span::record_error)
    }

    async fn try_reserve(&self, order: &Order) -> Result<String, ReserveError> {
        let items = order.items.iter().map(|item| Item { sku: item.sku.clone(), quantity: item.quantity });
        let mut request = Request::new(ReserveRequest { order_id: order.id, items: items.collect() });
        // tonic uses this timeout and also sends it, so that inventory-service ends the call when this service no
        // longer waits for the response.
        request.set_timeout(self.timeout);
        let mut client = self.client.clone();
        match tokio::time::timeout(self.timeout + GRACE, client.reserve(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner().reservation_id),
            Ok(Err(status)) => Err(error_from_status(status)),
            Err(elapsed) => {
                Err(UpstreamError::Timeout { service: SERVICE, source: Some(elapsed.into()) }.into())
            }
        }
    }
}

fn error_from_status(status: Status) -> ReserveError {
    let upstream = match status.code() {
        Code::FailedPrecondition | Code::ResourceExhausted => {
            return ReserveError::Rejected(Rejection::InsufficientStock);
        }
        Code::AlreadyExists => return ReserveError::Rejected(Rejection::DifferentItems),
        // tonic reports Cancelled if its own timer expires.
        Code::DeadlineExceeded | Code::Cancelled => {
            UpstreamError::Timeout { service: SERVICE, source: Some(status.into()) }
        }
        Code::Unavailable => UpstreamError::Unreachable { service: SERVICE, source: Some(status.into()) },
        code => UpstreamError::unexpected(SERVICE, format!("status {code:?}")),
    };
    upstream.into()
}
