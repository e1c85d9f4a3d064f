//! Failures as answers.

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use service_common::store::is_unavailable;
use telemetry::http::problem::Problem;

use crate::orders::OrdersError;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why another service was of no help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("{service} did not answer in time")]
    Late { service: &'static str, source: Option<Cause> },
    #[error("{service} could not be reached")]
    Unreachable { service: &'static str, source: Option<Cause> },
    #[error("{service} gave no answer that can be used: {problem}")]
    Wrong { service: &'static str, problem: Cow<'static, str> },
}

impl UpstreamError {
    pub(crate) fn wrong(service: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::Wrong { service, problem: problem.into() }
    }

    fn problem(&self) -> Problem {
        let (status, detail) = match self {
            Self::Late { service, .. } => {
                (StatusCode::GATEWAY_TIMEOUT, format!("{service} did not answer in time."))
            }
            Self::Unreachable { service, .. } => {
                (StatusCode::BAD_GATEWAY, format!("{service} could not be reached."))
            }
            Self::Wrong { service, .. } => {
                (StatusCode::BAD_GATEWAY, format!("{service} gave no answer that can be used."))
            }
        };
        Problem::new(status, detail)
    }
}

/// Why an order's items were not set aside.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReserveError {
    #[error("the order's items were not set aside: {0}")]
    Refused(Refusal),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// What inventory-service has against an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("too little of one is left")]
    TooFew,
    #[error("others are set aside for this order")]
    Different,
}

/// Why a request is not answered with what it asks for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no order {0}")]
    Unknown(i64),
    #[error(transparent)]
    Orders(#[from] OrdersError),
    #[error(transparent)]
    User(#[from] UpstreamError),
    #[error(transparent)]
    Reserve(#[from] ReserveError),
}

impl Error {
    fn problem(&self) -> Problem {
        match self {
            Self::Unknown(id) => Problem::new(StatusCode::NOT_FOUND, format!("There is no order {id}.")),
            Self::Orders(OrdersError(error)) if is_unavailable(error) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The orders cannot be reached. Try again later.",
            ),
            Self::Orders(_) => Problem::internal(),
            Self::Reserve(ReserveError::Refused(refusal)) => Problem::new(
                StatusCode::CONFLICT,
                format!("The order's items cannot be set aside: {refusal}."),
            ),
            Self::User(error) | Self::Reserve(ReserveError::Upstream(error)) => error.problem(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let problem = self.problem();
        if problem.status().is_server_error() {
            // The one line about it. The exception stands on the span in which it arose.
            tracing::error!(error = telemetry::chain(&self), "request failed");
        }
        problem.into_response()
    }
}
