//! Errors of upstreams, and error responses.

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use service_common::store::is_unavailable;
use telemetry::http::problem::Problem;

use crate::orders::OrderStoreError;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a call to an upstream failed. `service` is the name of the upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("{service} did not respond in time")]
    Timeout { service: &'static str, source: Option<Source> },
    #[error("{service} could not be reached")]
    Unreachable { service: &'static str, source: Option<Source> },
    #[error("{service} sent an unexpected response: {problem}")]
    UnexpectedResponse { service: &'static str, problem: Cow<'static, str> },
}

impl UpstreamError {
    pub(crate) fn unexpected(service: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::UnexpectedResponse { service, problem: problem.into() }
    }

    fn problem(&self) -> Problem {
        let (status, detail) = match self {
            Self::Timeout { service, .. } => {
                (StatusCode::GATEWAY_TIMEOUT, format!("{service} did not respond in time."))
            }
            Self::Unreachable { service, .. } => {
                (StatusCode::BAD_GATEWAY, format!("{service} could not be reached."))
            }
            Self::UnexpectedResponse { service, .. } => {
                (StatusCode::BAD_GATEWAY, format!("{service} sent an unexpected response."))
            }
        };
        Problem::new(status, detail)
    }
}

/// The reason why the items of an order were not reserved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReserveError {
    #[error("the items of the order were not reserved: {0}")]
    Rejected(Rejection),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// The reason why inventory-service rejected a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the stock of an item is too low")]
    InsufficientStock,
    #[error("other items are already reserved for this order")]
    DifferentItems,
}

/// The reason for an error response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no order {0}")]
    NotFound(i64),
    #[error(transparent)]
    Store(#[from] OrderStoreError),
    #[error(transparent)]
    User(#[from] UpstreamError),
    #[error(transparent)]
    Reserve(#[from] ReserveError),
}

impl Error {
    fn problem(&self) -> Problem {
        match self {
            Self::NotFound(id) => Problem::new(StatusCode::NOT_FOUND, format!("There is no order {id}.")),
            Self::Store(OrderStoreError(error)) if is_unavailable(error) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The order store is unavailable. Try again later.",
            ),
            Self::Store(_) => Problem::internal(),
            Self::Reserve(ReserveError::Rejected(rejection)) => Problem::new(
                StatusCode::CONFLICT,
                format!("The items of the order cannot be reserved: {rejection}."),
            ),
            Self::User(error) | Self::Reserve(ReserveError::Upstream(error)) => error.problem(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let problem = self.problem();
        if problem.status().is_server_error() {
            // This is the only log line about the failure. The exception is recorded on the span in which it occurred.
            tracing::error!(error = telemetry::chain(&self), "request failed");
        }
        problem.into_response()
    }
}
