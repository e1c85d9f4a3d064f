//! A JSON extractor for axum that rejects a bad body with a [`Problem`].

use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;

use super::problem::Problem;

/// The maximum time to receive a body. It limits how long a slow sender can hold a connection and the memory for the
/// body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// [`axum::Json`] that rejects a bad body with a [`Problem`].
///
/// | status | reason |
/// | --- | --- |
/// | 400 | the body is not JSON, or does not have the fields and types of `T` |
/// | 408 | reading the body took longer than ten seconds |
/// | 413 | the body is larger than axum's [`DefaultBodyLimit`](axum::extract::DefaultBodyLimit) |
/// | 415 | the header `Content-Type` does not say that the body is JSON |
///
/// ```
/// use axum::{Router, http::StatusCode, routing::post};
/// use sightline_telemetry::http::json::Json;
///
/// # #[derive(serde::Deserialize)]
/// # struct NewUser { name: String }
/// async fn add(Json(user): Json<NewUser>) -> StatusCode {
///     tracing::info!(name.length = user.name.len(), "user added");
///     StatusCode::CREATED
/// }
///
/// let app: Router = Router::new().route("/users", post(add));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    axum::Json<T>: FromRequest<S, Rejection = JsonRejection>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        match tokio::time::timeout(BODY_TIMEOUT, axum::Json::<T>::from_request(request, state)).await {
            Ok(Ok(axum::Json(value))) => Ok(Self(value)),
            Ok(Err(rejection)) => Err(problem_of(&rejection)),
            Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time.")),
        }
    }
}

fn problem_of(rejection: &JsonRejection) -> Problem {
    match rejection {
        JsonRejection::JsonSyntaxError(_) => {
            Problem::new(StatusCode::BAD_REQUEST, "The body is not valid JSON.")
        }
        // axum would respond with 422. The status here is 400, as for invalid JSON, because the caller must send a
        // different body in either case.
        JsonRejection::JsonDataError(_) => Problem::new(
            StatusCode::BAD_REQUEST,
            "The JSON body does not have the required fields and types.",
        ),
        JsonRejection::MissingJsonContentType(_) => {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The content type must be application/json.")
        }
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.")
        }
        _ => Problem::new(StatusCode::BAD_REQUEST, "The body could not be read."),
    }
}
