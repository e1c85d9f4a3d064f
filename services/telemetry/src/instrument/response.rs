//! The response of a call: first the future that resolves to the response, then the response's body. The future and the
//! body run in the context of the call, and either of them can end the call.
//!
//! A call ends when the body ends and not when the headers arrive, so a body that breaks off is recorded as an error. A
//! dropped call ends as cancelled, so a request that its caller abandons is also measured and does not count as active
//! forever.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::{Response, header};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::ContextGuard;
use pin_project_lite::pin_project;

use crate::instrument::call::{Call, HttpCall, InFlight, Outcome};
use crate::instrument::error_type;

pin_project! {
    /// The future of a response. Dropping the future before it completes ends the call as cancelled.
    #[derive(Debug)]
    pub struct ResponseFuture<F, C: Call> {
        // Fields are dropped in the order of their declaration, so spans inside the future end before the span of the
        // call.
        #[pin]
        inner: F,
        call: InFlight<C>,
    }
}

impl<F, C: Call> ResponseFuture<F, C> {
    /// Runs `start`, and then the future that `start` returns, in the context of `call`.
    pub(crate) fn new(call: InFlight<C>, start: impl FnOnce() -> F) -> Self {
        let guard = attach(&call);
        let inner = start();
        drop(guard);
        Self { inner, call }
    }
}

impl<F, B, E, C> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Any,
    C: HttpCall,
{
    type Output = Result<Response<ResponseBody<B, C>>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let guard = attach(this.call);
        let result = ready!(this.inner.poll(task));
        drop(guard);
        Poll::Ready(match result {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                let body = ResponseBody::new(&mut head, body, this.call.take());
                Ok(Response::from_parts(head, body))
            }
            Err(error) => {
                this.call.end(Outcome::Failed(error_type::of_transport_error(&error)));
                Err(error)
            }
        })
    }
}

pin_project! {
    /// The body of a response. The call ends when the body ends, fails or is dropped.
    #[derive(Debug)]
    pub struct ResponseBody<B, C: Call> {
        #[pin]
        inner: B,
        // The number of remaining bytes, if the response announces its length. A server stops polling the body once it
        // has sent all announced bytes, so the body may never report its end. If no bytes remain when the body is
        // dropped, the call is complete.
        remaining: Option<u64>,
        call: InFlight<C>,
    }

    impl<B, C: Call> PinnedDrop for ResponseBody<B, C> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if *this.remaining == Some(0) {
                this.call.end(Outcome::Complete);
            }
        }
    }
}

impl<B: Body, C: HttpCall> ResponseBody<B, C> {
    fn new(head: &mut http::response::Parts, inner: B, mut call: InFlight<C>) -> Self {
        let bodyless = call.get_mut().is_some_and(|call| call.on_head(head));
        if bodyless || inner.is_end_stream() {
            call.end(Outcome::Complete);
        }
        let announced =
            head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let remaining = announced.or_else(|| inner.size_hint().exact());
        Self { inner, remaining, call }
    }
}

impl<B, C> Body for ResponseBody<B, C>
where
    B: Body,
    B::Error: Any,
    C: HttpCall,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let guard = attach(this.call);
        let frame = ready!(this.inner.as_mut().poll_frame(task));
        drop(guard);
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(remaining)) = (frame.data_ref(), this.remaining.as_mut()) {
                    *remaining = remaining.saturating_sub(data.remaining() as u64);
                }
                if let (Some(trailers), Some(call)) = (frame.trailers_ref(), this.call.get_mut()) {
                    call.on_trailers(trailers);
                }
                if frame.is_trailers() || this.inner.is_end_stream() {
                    this.call.end(Outcome::Complete);
                }
            }
            Some(Err(error)) => this.call.end(Outcome::Failed(error_type::of_transport_error(error))),
            None => this.call.end(Outcome::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Makes the call's context the current context until the guard is dropped.
fn attach<C: Call>(call: &InFlight<C>) -> Option<ContextGuard> {
    call.context().map(|context| context.clone().attach())
}
