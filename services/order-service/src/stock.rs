//! inventory-service, over gRPC.

use std::time::Duration;

use inventory_service::proto::inventory_client::InventoryClient;
use inventory_service::proto::{Item, ReserveRequest};
use reqwest::Url;
use telemetry::grpc::ClientService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::ServiceBuilder;

use crate::error::{Refusal, ReserveError, UpstreamError};
use crate::orders::Order;

const SERVICE: &str = "inventory-service";

/// Bytes of an answer, which is an id.
const MAX_ANSWER: usize = 16 * 1024;

/// A connection on which a ping is not answered for this long is made anew.
const PING: Duration = Duration::from_secs(10);

/// How much longer than the deadline we wait for tonic to say that it has passed. Its timer does not cover a
/// connection that is never made, nor an answer that begins and does not end.
const GRACE: Duration = Duration::from_millis(500);

/// A client of inventory-service.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    client: InventoryClient<ClientService<Channel>>,
    deadline: Duration,
}

impl Stock {
    /// Connects with the first call, and again whenever the connection is lost. Fails where `url` is no gRPC address.
    pub(crate) fn new(url: &Url, deadline: Duration) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(url.to_string())?
            .connect_timeout(deadline)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        let layer = telemetry::grpc::client_layer().target(endpoint.uri());
        let channel = ServiceBuilder::new().layer(layer).service(endpoint.connect_lazy());
        let client = InventoryClient::new(channel).max_decoding_message_size(MAX_ANSWER);
        Ok(Self { client, deadline })
    }

    /// Sets the order's items aside and returns the reservation's id. Doing it again changes nothing.
    // Signed: the bridge to OpenTelemetry makes text of an unsigned number.
    #[tracing::instrument(name = "reserve_items", skip_all, fields(order.id = order.id, order.items = i64::try_from(order.items.len()).ok()))]
    pub(crate) async fn reserve(&self, order: &Order) -> Result<String, ReserveError> {
        self.try_reserve(order).await.inspect_err(telemetry::span::record_error)
    }

    async fn try_reserve(&self, order: &Order) -> Result<String, ReserveError> {
        let items = order.items.iter().map(|item| Item { sku: item.sku.clone(), quantity: item.quantity });
        let mut request = Request::new(ReserveRequest { order_id: order.id, items: items.collect() });
        // Sent along, so that inventory-service knows when nobody waits any longer.
        request.set_timeout(self.deadline);
        let mut client = self.client.clone();
        match tokio::time::timeout(self.deadline + GRACE, client.reserve(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner().reservation_id),
            Ok(Err(status)) => Err(failure(status)),
            Err(elapsed) => {
                Err(UpstreamError::Late { service: SERVICE, source: Some(elapsed.into()) }.into())
            }
        }
    }
}

fn failure(status: Status) -> ReserveError {
    let upstream = match status.code() {
        Code::FailedPrecondition | Code::ResourceExhausted => return ReserveError::Refused(Refusal::TooFew),
        Code::AlreadyExists => return ReserveError::Refused(Refusal::Different),
        // tonic says Cancelled where its own timer has run out.
        Code::DeadlineExceeded | Code::Cancelled => {
            UpstreamError::Late { service: SERVICE, source: Some(status.into()) }
        }
        Code::Unavailable => UpstreamError::Unreachable { service: SERVICE, source: Some(status.into()) },
        code => UpstreamError::wrong(SERVICE, format!("status {code:?}")),
    };
    upstream.into()
}
