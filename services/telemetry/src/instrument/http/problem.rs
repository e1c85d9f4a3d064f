//! Error responses in the `application/problem+json` format of [RFC 9457], with the request's trace id.
//!
//! ```
//! use axum::http::StatusCode;
//! use sightline_telemetry::http::problem::Problem;
//!
//! async fn read_user() -> Result<String, Problem> {
//!     Err(Problem::new(StatusCode::NOT_FOUND, "There is no user 7."))
//! }
//! ```
//!
//! The body of the response for this error:
//!
//! ```json
//! {
//!   "type": "about:blank",
//!   "title": "Not Found",
//!   "status": 404,
//!   "detail": "There is no user 7.",
//!   "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"
//! }
//! ```
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

use std::borrow::Cow;
use std::future::{Ready, ready};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The problem details of a failed request.
///
/// `type` is `about:blank`, so `title` is the reason phrase of the status ([RFC 9457, section 4.2.1]). `trace_id` is
/// the trace id of the context in which the response is created. Outside a trace, the response has no `trace_id`. Do
/// not put internal causes into `detail`. Record them on the span and in a log record instead.
///
/// [RFC 9457, section 4.2.1]: https://www.rfc-editor.org/rfc/rfc9457#name-aboutblank
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
}

impl Problem {
    /// A problem with this status. `detail` is a sentence that explains the problem to the caller.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// A problem with status 500 that does not reveal the cause.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The service failed. Its operators can find the cause with the trace id.",
        )
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Unknown"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(id) = crate::instrument::span::trace_id() {
            body["trace_id"] = id.into();
        }
        let kind = HeaderValue::from_static("application/problem+json");
        (self.status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
    }
}

/// The problem for a path without a route, with status 404. Use it with [`axum::Router::fallback`].
pub fn not_found() -> Ready<Problem> {
    ready(Problem::new(StatusCode::NOT_FOUND, "There is no resource at this path."))
}

/// The problem for a path whose route does not accept the method, with status 405. Use it with
/// [`axum::Router::method_not_allowed_fallback`]. axum adds the header `Allow`.
pub fn method_not_allowed() -> Ready<Problem> {
    let detail = "The resource does not accept this method. The Allow header lists the accepted methods.";
    ready(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_has_the_members_of_the_rfc() {
        let response = Problem::new(StatusCode::NOT_FOUND, "There is no user 7.").into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = json!({
            "type": "about:blank", "title": "Not Found", "status": 404, "detail": "There is no user 7.",
        });
        assert_eq!(body, expected);
    }
}
