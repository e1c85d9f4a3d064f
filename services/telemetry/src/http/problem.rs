//! Errors over HTTP as `application/problem+json`, carrying the id of the trace in which they arose.
//!
//! Source: [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)

use std::borrow::Cow;
use std::future::{Ready, ready};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// What a caller is told about a request that failed.
///
/// `type` is `about:blank`, so `title` is the status's own phrase; `trace_id` is that of the context in which the
/// response is made, and is left out where there is none. What goes wrong inside belongs into a span and a log line,
/// never into `detail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
}

impl Problem {
    /// A problem of this status. `detail` is a sentence for the caller on this one occurrence.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// 500, saying nothing of the inside.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The service failed. The trace id tells its operators where.",
        )
    }

    /// The status.
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
        if let Some(id) = crate::span::trace_id() {
            body["trace_id"] = id.into();
        }
        let kind = HeaderValue::from_static("application/problem+json");
        (self.status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
    }
}

/// For `Router::fallback`: no route has this path.
pub fn not_found() -> Ready<Problem> {
    ready(Problem::new(StatusCode::NOT_FOUND, "There is nothing at this path."))
}

/// For `Router::method_not_allowed_fallback`: the path has a route, but not for this method. axum adds `Allow`.
pub fn method_not_allowed() -> Ready<Problem> {
    let detail = "This path does not take this method; the Allow header says which.";
    ready(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_is_what_the_rfc_says() {
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
