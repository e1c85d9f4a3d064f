//! What every instrumented call shares, on either side and over either protocol: it begins, its response passes by,
//! and it ends once, however it ends.

use std::thread;

use http::{HeaderMap, response};
use opentelemetry::Context;

use crate::error_type::{self, ErrorType};

/// How a call ended.
#[derive(Debug)]
pub enum Ending {
    /// All of it passed.
    Complete,
    /// Whoever waited for it let go of it.
    Abandoned,
    /// It failed without a response, or within one.
    Failed(ErrorType),
}

/// What is measured about one call.
pub trait Call {
    /// The context to run the call in.
    fn context(&self) -> &Context;

    /// Ends the span and records the metrics.
    fn end(self, ending: Ending);
}

/// A call whose answer is an HTTP response, as gRPC's is.
pub trait Exchange: Call {
    /// The head of the response is here. True when no body will follow, whatever its type says.
    fn head(&mut self, head: &response::Parts) -> bool;

    /// The trailers of the response are here.
    fn trailers(&mut self, trailers: &HeaderMap);
}

/// A call that has not ended yet. Dropping it ends it: that is what cancelling looks like in Rust.
#[derive(Debug)]
pub(crate) struct InFlight<C: Call>(Option<C>);

impl<C: Call> InFlight<C> {
    pub(crate) fn new(call: C) -> Self {
        Self(Some(call))
    }

    /// For a call nobody is to hear of.
    pub(crate) fn unobserved() -> Self {
        Self(None)
    }

    pub(crate) fn context(&self) -> Option<&Context> {
        self.0.as_ref().map(Call::context)
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut C> {
        self.0.as_mut()
    }

    /// Takes the call away, to go on elsewhere.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Ends the call, unless it has already ended.
    pub(crate) fn end(&mut self, ending: Ending) {
        if let Some(call) = self.0.take() {
            call.end(ending);
        }
    }
}

impl<C: Call> Drop for InFlight<C> {
    fn drop(&mut self) {
        if self.0.is_some() {
            let panicking = thread::panicking();
            self.end(if panicking { Ending::Failed(error_type::PANIC) } else { Ending::Abandoned });
        }
    }
}
