//! The RPC handlers.

use tonic::{Code, Request, Response, Status};

use crate::details::DetailsClient;
use crate::proto::{
    ReadDetailsRequest, ReadDetailsResponse, ReadRequest, ReadResponse, template_grpc_server,
};

/// There are items 1 to this number.
const LAST_ITEM: i64 = 100;

/// The implementation of `template_grpc.v1.TemplateGrpc`.
#[derive(Debug)]
pub(crate) struct Service {
    details: DetailsClient,
}

impl Service {
    pub(crate) fn new(details: DetailsClient) -> Self {
        Self { details }
    }
}

#[tonic::async_trait]
impl template_grpc_server::TemplateGrpc for Service {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let id = request.into_inner().id;
        let details = self.details.read(id).await.map_err(|status| match status.code() {
            Code::NotFound | Code::InvalidArgument => status,
            _ => {
                // This is the only log line about the failure. The exception is recorded on the span in which it
                // occurred.
                tracing::error!(error = telemetry::chain(&status), "call failed");
                Status::unavailable("the details of the item could not be read")
            }
        })?;
        tracing::info!(item.id = id, "item read");
        Ok(Response::new(ReadResponse { id, details }))
    }

    async fn read_details(
        &self,
        request: Request<ReadDetailsRequest>,
    ) -> Result<Response<ReadDetailsResponse>, Status> {
        match request.into_inner().id {
            ..=0 => Err(Status::invalid_argument("the ID must be positive")),
            id @ 1..=LAST_ITEM => {
                Ok(Response::new(ReadDetailsResponse { text: format!("Details of item {id}") }))
            }
            id => Err(Status::not_found(format!("there is no item {id}"))),
        }
    }
}
