//! The RPC handlers.

use tonic::{Request, Response, Status};

use crate::input;
use crate::proto::inventory_server::Inventory;
use crate::proto::{ReserveRequest, ReserveResponse};
use crate::stock::{Items, Reservation, ReserveError, Stock};

/// The implementation of `sightline.inventory.v1.Inventory`, with stock in memory.
#[derive(Debug)]
pub(crate) struct Service {
    stock: Stock,
}

impl Service {
    pub(crate) fn new(stock: Stock) -> Self {
        Self { stock }
    }

    // The count is signed because tracing-opentelemetry turns an unsigned number into text.
    #[tracing::instrument(
        name = "reserve_stock",
        skip_all,
        fields(order.id = order, order.items = i64::try_from(items.len()).ok())
    )]
    fn reserve_stock(&self, order: i64, items: Items) -> Result<Reservation, ReserveError> {
        self.stock.reserve(order, items).inspect_err(telemetry::span::record_error)
    }
}

#[tonic::async_trait]
impl Inventory for Service {
    async fn reserve(&self, request: Request<ReserveRequest>) -> Result<Response<ReserveResponse>, Status> {
        let request = request.into_inner();
        let order = request.order_id;
        let items = input::validate(request)?;
        match self.reserve_stock(order, items) {
            Ok(reservation) => {
                tracing::info!(
                    order.id = order,
                    reservation.repeated = reservation.repeated,
                    "stock reserved"
                );
                Ok(Response::new(ReserveResponse { reservation_id: reservation.id }))
            }
            Err(error) => {
                tracing::warn!(order.id = order, error = %error, "stock not reserved");
                Err(error.into())
            }
        }
    }
}

impl From<ReserveError> for Status {
    fn from(error: ReserveError) -> Self {
        let message = error.to_string();
        match error {
            ReserveError::UnknownSku(_) => Self::not_found(message),
            ReserveError::InsufficientStock { .. } => Self::failed_precondition(message),
            ReserveError::DifferentItems(_) => Self::already_exists(message),
        }
    }
}
