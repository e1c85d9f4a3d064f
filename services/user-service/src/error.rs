//! Error responses.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use service_common::store::is_unavailable;
use telemetry::http::problem::Problem;

use crate::input::InvalidUser;
use crate::users::UserStoreError;

/// The reason for an error response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no user {0}")]
    NotFound(i64),
    #[error(transparent)]
    Invalid(#[from] InvalidUser),
    #[error(transparent)]
    Store(#[from] UserStoreError),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let problem = match &self {
            Self::NotFound(id) => Problem::new(StatusCode::NOT_FOUND, format!("There is no user {id}.")),
            Self::Invalid(invalid) => Problem::new(StatusCode::BAD_REQUEST, invalid.to_string()),
            Self::Store(UserStoreError::EmailTaken) => {
                Problem::new(StatusCode::CONFLICT, "Another user has this e-mail address.")
            }
            Self::Store(UserStoreError::Database(error)) if is_unavailable(error) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The user store is unavailable. Try again later.",
            ),
            Self::Store(UserStoreError::Database(_) | UserStoreError::BuiltInFault) => Problem::internal(),
        };
        if problem.status().is_server_error() {
            // This is the only log line about the failure. The exception is recorded on the span in which it occurred.
            tracing::error!(error = telemetry::chain(&self), "request failed");
        }
        problem.into_response()
    }
}
