//! A client for the service that has the details of items.

use std::time::Duration;

use anyhow::Context as _;
use telemetry::grpc::ClientService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::ServiceBuilder;
use url::Url;

use crate::proto::{ReadDetailsRequest, template_grpc_client};

/// The timeout of a call.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client for the details of items.
///
/// It calls this service itself, so that the first trace has two calls. Replace it with a client for a service in the
/// list `calls` of sightline.toml.
#[derive(Clone, Debug)]
pub struct DetailsClient(template_grpc_client::TemplateGrpcClient<ClientService<Channel>>);

impl DetailsClient {
    /// Creates a client that connects on its first call, and reconnects when the connection is lost. Fails if `url` is
    /// not a valid endpoint.
    pub fn new(url: &Url) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_string()).context("cannot create a gRPC client")?;
        let endpoint = endpoint.connect_timeout(TIMEOUT);
        let layer = telemetry::grpc::client_layer().target(endpoint.uri());
        let channel = ServiceBuilder::new().layer(layer).service(endpoint.connect_lazy());
        Ok(Self(template_grpc_client::TemplateGrpcClient::new(channel)))
    }

    /// Reads the details of an item.
    #[tracing::instrument(name = "read_details", skip_all, fields(item.id = id))]
    pub(crate) async fn read(&self, id: i64) -> Result<String, Status> {
        let mut request = Request::new(ReadDetailsRequest { id });
        // tonic uses this timeout and also sends it, so the server ends the call when this service no longer waits.
        request.set_timeout(TIMEOUT);
        let response = self.0.clone().read_details(request).await;
        // An item that does not exist is a valid response, so the span has not failed.
        let is_failure = |status: &Status| !matches!(status.code(), Code::NotFound | Code::InvalidArgument);
        if let Err(status) = &response
            && is_failure(status)
        {
            telemetry::span::record_error(status);
        }
        Ok(response?.into_inner().text)
    }
}
