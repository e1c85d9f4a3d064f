//! Failures as answers.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use service_common::store::is_unavailable;
use telemetry::http::problem::Problem;

use crate::input::Invalid;
use crate::users::UsersError;

/// Why a request is not answered with what it asks for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no user {0}")]
    Unknown(i64),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Users(#[from] UsersError),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let problem = match &self {
            Self::Unknown(id) => Problem::new(StatusCode::NOT_FOUND, format!("There is no user {id}.")),
            Self::Invalid(invalid) => Problem::new(StatusCode::BAD_REQUEST, invalid.to_string()),
            Self::Users(UsersError::Taken) => {
                Problem::new(StatusCode::CONFLICT, "Another user has this e-mail address.")
            }
            Self::Users(UsersError::Store(error)) if is_unavailable(error) => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The users cannot be reached. Try again later.")
            }
            Self::Users(UsersError::Store(_) | UsersError::BuiltIn) => Problem::internal(),
        };
        if problem.status().is_server_error() {
            // The one line about it. The exception stands on the span in which it arose.
            tracing::error!(error = telemetry::chain(&self), "request failed");
        }
        problem.into_response()
    }
}
