//! A worker: it handles the messages of a queue, and has no server except for the admin port.
//!
//! The queue is a channel in this process, and [`work`] also sends the messages. Replace the channel with the client of
//! a message broker, and move [`Queue::send`] to the services that send messages.

mod handler;
mod queue;
mod settings;

use telemetry::Running;
use tokio::time::{MissedTickBehavior, interval};

pub use handler::Handler;
pub use queue::{Job, Queue, consume};
pub use settings::Settings;

/// Sends and handles messages until the service is stopped, then handles the messages that are still in the queue.
///
/// Fails if the HTTP client cannot be created.
pub async fn work(settings: Settings, running: Running) -> anyhow::Result<()> {
    let handler = Handler::new(settings.upstream_url)?;
    let (queue, messages) = Queue::new();
    running.ready();
    let send = async move {
        let mut ticks = interval(settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for id in 1.. {
            tokio::select! {
                () = running.stopping() => break,
                _ = ticks.tick() => {}
            }
            queue.send(Job { id, quantity: 1 }).await;
        }
        // The queue is dropped here, so `consume` returns after the last message.
    };
    tokio::join!(send, consume(messages, &handler));
    Ok(())
}
