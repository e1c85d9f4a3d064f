//! The tower layer and service that the HTTP and gRPC layers for servers and clients share.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower::{Layer, Service};

use crate::instrument::call::{HttpCall, InFlight};
use crate::instrument::response::{ResponseBody, ResponseFuture};

/// One kind of call, such as a request to an HTTP server.
pub trait StartCall {
    /// The type of a call of this kind.
    type Call: HttpCall;

    /// Starts the call for `request`. A client also writes the call's context into the headers of `request`.
    fn start_call<B>(&self, request: &mut Request<B>) -> InFlight<Self::Call>;
}

/// A layer that records every request as a call of the kind `K`, with a span and metrics, and handles the request in
/// the context of that span.
///
/// Cloning is cheap, and all clones use the same instruments.
#[derive(Debug, Clone)]
pub struct CallLayer<K>(pub(crate) K);

impl<S, K: Clone> Layer<S> for CallLayer<K> {
    type Service = CallService<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        CallService { inner, kind: self.0.clone() }
    }
}

/// A service `S` inside a [`CallLayer`].
#[derive(Debug, Clone)]
pub struct CallService<S, K> {
    inner: S,
    kind: K,
}

impl<S, K, B, R> Service<Request<B>> for CallService<S, K>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    K: StartCall,
    R: http_body::Body,
{
    type Response = Response<ResponseBody<R, K::Call>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, K::Call>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = self.kind.start_call(&mut request);
        ResponseFuture::new(call, || self.inner.call(request))
    }
}
