//! A handler's panic as an answer.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;

/// For `axum::middleware::from_fn`, inside [`server_layer`](super::server_layer): a handler's panic is answered with
/// 500 and recorded on the request's span. Without it the connection is cut and the span says no more than that.
pub async fn catch_panics(request: Request, next: Next) -> Response {
    let mut response = pin!(next.run(request));
    // What a panic leaves half done is dropped with the future, which is not polled again.
    let outcome =
        poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
            Err(panic) => Poll::Ready(Err(Panicked::from(&*panic))),
        });
    outcome.await.unwrap_or_else(|panic| {
        crate::span::record_error(&panic);
        tracing::error!(error = %panic, "a handler panicked");
        Problem::internal().into_response()
    })
}

/// A panic, by the message it was raised with.
#[derive(Debug, thiserror::Error)]
#[error("panic: {0}")]
struct Panicked(String);

impl From<&(dyn Any + Send)> for Panicked {
    fn from(payload: &(dyn Any + Send)) -> Self {
        let message = payload.downcast_ref::<&str>().map(ToString::to_string);
        Self(
            message
                .or_else(|| payload.downcast_ref().cloned())
                .unwrap_or_else(|| "without a message".to_owned()),
        )
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
    async fn a_panic_is_a_problem_that_does_not_say_what_happened() {
        async fn at_once() {
            panic!("hunter2");
        }
        async fn later() {
            tokio::task::yield_now().await;
            std::panic::panic_any("hunter2".to_owned());
        }
        let app = Router::new()
            .route("/at-once", get(at_once))
            .route("/later", get(later))
            .route("/not", get(|| async { "fine" }))
            .layer(from_fn(catch_panics));
        for (path, status) in [("/at-once", 500), ("/later", 500), ("/not", 200)] {
            let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::from_u16(status).unwrap(), "{path}");
            let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
            assert!(!String::from_utf8_lossy(&body).contains("hunter2"), "{path}");
        }
    }
}
