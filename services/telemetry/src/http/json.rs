//! A JSON body that is refused with a [`Problem`].

use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;

use super::problem::Problem;

/// A body that trickles in holds a connection and its memory no longer than this.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// As [`axum::Json`], whose refusals are problems: 400 where the body is not the JSON that is wanted, 413 where it
/// is larger than axum's `DefaultBodyLimit`, 415 where it does not say that it is JSON, and 408 where it does not
/// arrive within ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    axum::Json<T>: FromRequest<S, Rejection = JsonRejection>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        match tokio::time::timeout(BODY_WITHIN, axum::Json::<T>::from_request(request, state)).await {
            Ok(Ok(axum::Json(value))) => Ok(Self(value)),
            Ok(Err(rejection)) => Err(refusal(&rejection)),
            Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time.")),
        }
    }
}

fn refusal(rejection: &JsonRejection) -> Problem {
    match rejection {
        JsonRejection::JsonSyntaxError(_) => {
            Problem::new(StatusCode::BAD_REQUEST, "The body is not valid JSON.")
        }
        // axum says 422, but what the caller has to do is the same: send another body.
        JsonRejection::JsonDataError(_) => {
            Problem::new(StatusCode::BAD_REQUEST, "The body's JSON does not have the form that is wanted.")
        }
        JsonRejection::MissingJsonContentType(_) => {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The content type has to be application/json.")
        }
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.")
        }
        _ => Problem::new(StatusCode::BAD_REQUEST, "The body could not be read."),
    }
}
