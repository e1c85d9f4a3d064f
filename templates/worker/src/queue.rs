//! The queue, and the spans of its messages.
//!
//! The spans follow the semantic conventions for [messaging spans]. A message carries the context of the span that sent
//! it. The span that processes the message has this context as its parent, so both spans are in one trace, and also a
//! link to it, which the conventions require.
//!
//! [messaging spans]: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/

use opentelemetry::Context;
use opentelemetry::trace::{FutureExt as _, TraceContextExt as _};
use tokio::sync::mpsc;

use crate::handler::Handler;

/// The maximum number of messages that wait in the queue. Then, [`Queue::send`] waits.
const CAPACITY: usize = 16;

/// The body of a message.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The ID of the job.
    pub id: i64,
    /// The number of pieces, at least 1.
    pub quantity: i64,
}

/// A message in the queue.
#[derive(Debug)]
pub struct Message {
    job: Job,
    /// The context of the span that sent the message. A message broker transports it in the headers of the message: see
    /// `telemetry::propagation`.
    context: Context,
}

/// The sender of messages.
#[derive(Clone, Debug)]
pub struct Queue(mpsc::Sender<Message>);

impl Queue {
    /// Creates an empty queue. Returns its sender and its receiver.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self(sender), receiver)
    }

    /// Sends a message, and waits while the queue is full.
    #[tracing::instrument(
        name = "send jobs",
        skip_all,
        fields(
            otel.kind = "producer",
            messaging.system = "tokio",
            messaging.operation.type = "send",
            messaging.operation.name = "send",
            messaging.destination.name = "jobs",
            messaging.message.id = %job.id,
        )
    )]
    pub async fn send(&self, job: Job) {
        if self.0.send(Message { job, context: Context::current() }).await.is_err() {
            tracing::warn!(job.id = job.id, "message not sent, because the receiver has stopped");
        }
    }
}

/// Handles messages until there are no more senders.
pub async fn consume(mut messages: mpsc::Receiver<Message>, handler: &Handler) {
    while let Some(Message { job, context }) = messages.recv().await {
        process(job, context.clone(), handler).with_context(context).await;
    }
}

/// Handles one message. Its parent is the span in the current context.
#[tracing::instrument(
    name = "process jobs",
    skip_all,
    fields(
        otel.kind = "consumer",
        messaging.system = "tokio",
        messaging.operation.type = "process",
        messaging.operation.name = "process",
        messaging.destination.name = "jobs",
        messaging.message.id = %job.id,
    )
)]
async fn process(job: Job, sender: Context, handler: &Handler) {
    Context::current().span().add_link(sender.span().span_context().clone(), Vec::new());
    match handler.handle(job).await {
        Ok(()) => tracing::info!(job.id = job.id, "job done"),
        Err(error) => {
            telemetry::span::record_error(&error);
            tracing::error!(job.id = job.id, error = telemetry::chain(&error), "job failed");
        }
    }
}
