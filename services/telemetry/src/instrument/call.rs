//! The lifecycle of an instrumented call. A call is an HTTP request or a gRPC call, on the server or the client side,
//! or a call to a database.
//!
//! A call starts and ends exactly once. It ends when it has delivered its whole response, fails, or is dropped.

use std::{mem, thread};

use http::{HeaderMap, response};
use opentelemetry::Context;

use crate::context::propagation;
use crate::instrument::error_type::{self, ErrorType};

/// How a call ended.
#[derive(Debug)]
pub enum Outcome {
    /// The call delivered its whole response.
    Complete,
    /// The call was dropped before it completed. Dropping a future is how Rust cancels it.
    Dropped,
    /// The call failed before or during its response.
    Failed(ErrorType),
}

/// A call with a span and metrics.
pub trait Call {
    /// The context to run the call in.
    fn context(&self) -> &Context;

    /// Ends the span and records the metrics.
    fn end(self, outcome: Outcome);
}

/// A call with an HTTP response, such as an HTTP request or a gRPC call.
pub trait HttpCall: Call {
    /// Reads the response's head (its status and headers) and may add headers to it. Returns `true` if the response
    /// cannot have a body, such as the response to a HEAD request.
    fn on_head(&mut self, head: &mut response::Parts) -> bool;

    /// Reads the trailers of the response.
    fn on_trailers(&mut self, _trailers: &HeaderMap) {}
}

/// A call that has not ended yet. Dropping this value ends the call, unless the call has already ended.
#[derive(Debug)]
pub struct InFlight<C: Call>(State<C>);

#[derive(Debug)]
enum State<C> {
    Recorded(C),
    /// A server does not record the request, but handles it in the context of the caller.
    Unrecorded(Context),
    Ended,
}

impl<C: Call> InFlight<C> {
    pub(crate) fn new(call: C) -> Self {
        Self(State::Recorded(call))
    }

    /// Returns a placeholder for a call that must not be traced or measured.
    pub(crate) fn untraced() -> Self {
        Self(State::Ended)
    }

    /// Returns a placeholder for a request that the server does not record. The request is handled in `context`, which
    /// is the context of the caller. So the calls that the handler makes still belong to the caller's trace.
    pub(crate) fn unrecorded(context: Context) -> Self {
        Self(State::Unrecorded(context))
    }

    pub(crate) fn context(&self) -> Option<&Context> {
        match &self.0 {
            State::Recorded(call) => Some(call.context()),
            State::Unrecorded(context) => Some(context),
            State::Ended => None,
        }
    }

    /// Writes the context of the call into the headers of its request.
    pub(crate) fn inject(&self, headers: &mut HeaderMap) {
        if let Some(context) = self.context() {
            propagation::inject(context, headers);
        }
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut C> {
        match &mut self.0 {
            State::Recorded(call) => Some(call),
            State::Unrecorded(_) | State::Ended => None,
        }
    }

    /// Moves the call out of `self`. Dropping `self` afterwards does not end the call.
    pub(crate) fn take(&mut self) -> Self {
        Self(mem::replace(&mut self.0, State::Ended))
    }

    /// Ends the call, unless it has already ended.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        if let State::Recorded(call) = mem::replace(&mut self.0, State::Ended) {
            call.end(outcome);
        }
    }
}

impl<C: Call> Drop for InFlight<C> {
    fn drop(&mut self) {
        if matches!(self.0, State::Recorded(_)) {
            let panicking = thread::panicking();
            self.end(if panicking { Outcome::Failed(error_type::PANIC) } else { Outcome::Dropped });
        }
    }
}
