//! A response on its way through a layer: awaited, then its body, both inside the context of the call.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::{Response, header};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::ContextGuard;
use pin_project_lite::pin_project;

use crate::call::{Call, Ending, Exchange, InFlight};
use crate::error_type;

pin_project! {
    /// The future of a response. Dropped before there is one, it ends the call as cancelled.
    #[derive(Debug)]
    pub struct ResponseFuture<F, C: Call> {
        // Before the call, so that spans inside it end before the call's own.
        #[pin]
        inner: F,
        call: InFlight<C>,
    }
}

impl<F, C: Call> ResponseFuture<F, C> {
    /// Runs `start` and the future it makes inside the context of `call`.
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
    C: Exchange,
{
    type Output = Result<Response<ResponseBody<B, C>>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let guard = attach(this.call);
        let result = ready!(this.inner.poll(task));
        drop(guard);
        Poll::Ready(match result {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let body = ResponseBody::new(&head, body, this.call.take());
                Ok(Response::from_parts(head, body))
            }
            Err(error) => {
                this.call.end(Ending::Failed(error_type::of_transport(&error)));
                Err(error)
            }
        })
    }
}

pin_project! {
    /// The body of a response. The call ends with it: at its end, at its failure, or when it is dropped.
    #[derive(Debug)]
    pub struct ResponseBody<B, C: Call> {
        #[pin]
        inner: B,
        // The bytes still to come, where the response says how many. A server stops asking for frames once it has
        // sent as many as announced, so the end of the body is not always seen.
        outstanding: Option<u64>,
        call: InFlight<C>,
    }

    impl<B, C: Call> PinnedDrop for ResponseBody<B, C> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if *this.outstanding == Some(0) {
                this.call.end(Ending::Complete);
            }
        }
    }
}

impl<B: Body, C: Exchange> ResponseBody<B, C> {
    fn new(head: &http::response::Parts, inner: B, mut call: InFlight<C>) -> Self {
        let bodyless = call.get_mut().is_some_and(|call| call.head(head));
        if bodyless || inner.is_end_stream() {
            call.end(Ending::Complete);
        }
        let announced =
            head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let outstanding = announced.or_else(|| inner.size_hint().exact());
        Self { inner, outstanding, call }
    }
}

impl<B, C> Body for ResponseBody<B, C>
where
    B: Body,
    B::Error: Any,
    C: Exchange,
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
                if let (Some(data), Some(outstanding)) = (frame.data_ref(), this.outstanding.as_mut()) {
                    *outstanding = outstanding.saturating_sub(data.remaining() as u64);
                }
                if let (Some(trailers), Some(call)) = (frame.trailers_ref(), this.call.get_mut()) {
                    call.trailers(trailers);
                }
                if frame.is_trailers() || this.inner.is_end_stream() {
                    this.call.end(Ending::Complete);
                }
            }
            Some(Err(error)) => this.call.end(Ending::Failed(error_type::of_transport(error))),
            None => this.call.end(Ending::Complete),
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

/// Makes the context of the call the current one, for as long as the guard lives.
fn attach<C: Call>(call: &InFlight<C>) -> Option<ContextGuard> {
    call.context().map(|context| context.clone().attach())
}
