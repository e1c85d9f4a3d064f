//! An axum middleware that turns a handler's panic into a response.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;

/// Responds with status 500 if a handler panics, and records the panic on the request's span.
///
/// Without this middleware, a panic closes the connection, and the span has the `error.type` `panic` but no message.
/// Add the middleware before [`server_layer`](super::server_layer). The middleware then runs inside that layer:
///
/// ```
/// use axum::{Router, middleware::from_fn, routing::get};
/// use sightline_telemetry::http::{panic::catch_panics, server_layer};
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "Hello" }))
///     .layer(from_fn(catch_panics))
///     .layer(server_layer());
/// ```
pub async fn catch_panics(request: Request, next: Next) -> Response {
    let mut response = pin!(next.run(request));
    // A panic can leave the future in an invalid state, so the future is not polled again, only dropped.
    let outcome =
        poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
            Err(panic) => Poll::Ready(Err(Panicked::from(&*panic))),
        });
    outcome.await.unwrap_or_else(|panic| {
        crate::instrument::span::record_error(&panic);
        tracing::error!(error = %panic, "a handler panicked");
        Problem::internal().into_response()
    })
}

/// The message of a panic.
#[derive(Debug, thiserror::Error)]
#[error("panic: {0}")]
struct Panicked(String);

impl From<&(dyn Any + Send)> for Panicked {
    fn from(payload: &(dyn Any + Send)) -> Self {
        let message = payload.downcast_ref::<&str>().map(ToString::to_string);
        Self(message.or_else(|| payload.downcast_ref().cloned()).unwrap_or_else(|| "no message".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn responds_with_a_problem_that_hides_the_message() {
        async fn immediately() {
            panic!("hunter2");
        }
        async fn later() {
            tokio::task::yield_now().await;
            std::panic::panic_any("hunter2".to_owned());
        }
        let app = Router::new()
            .route("/immediately", get(immediately))
            .route("/later", get(later))
            .route("/fine", get(|| async { "fine" }))
            .layer(from_fn(catch_panics));
        for (path, status) in [("/immediately", 500), ("/later", 500), ("/fine", 200)] {
            let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::from_u16(status).unwrap(), "{path}");
            let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
            assert!(!String::from_utf8_lossy(&body).contains("hunter2"), "{path}");
        }
    }
}
