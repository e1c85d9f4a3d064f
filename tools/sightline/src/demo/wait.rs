//! Waits until something is stored.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// The time between two reports of the progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The end of a wait.
pub(super) enum Outcome<T, M> {
    /// The value of the last check.
    Done(T),
    /// The time limit has passed.
    Late {
        /// How long the program waited.
        waited: Duration,
        /// What was missing at the last check.
        missing: M,
    },
}

/// Calls `check` every `pause` until it returns `Ok`, or until `timeout` has passed. An `Err` of the inner result is what
/// is still missing, and an `Err` of the outer result ends the wait. Every few seconds, calls `progress` with the time
/// since the beginning of the wait.
pub(super) async fn until<T, M, E>(
    pause: Duration,
    timeout: Duration,
    mut progress: impl FnMut(Duration),
    mut check: impl AsyncFnMut() -> Result<Result<T, M>, E>,
) -> Result<Outcome<T, M>, E> {
    let began = Instant::now();
    let mut last_report = began;
    let mut tick = interval(pause);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let missing = match check().await? {
            Ok(value) => return Ok(Outcome::Done(value)),
            Err(missing) => missing,
        };
        let waited = began.elapsed();
        if waited > timeout {
            return Ok(Outcome::Late { waited, missing });
        }
        if last_report.elapsed() >= REPORT_INTERVAL {
            last_report = Instant::now();
            progress(waited);
        }
    }
}
