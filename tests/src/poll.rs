//! Polls until a condition is met.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// The maximum time from a request until a test can read the telemetry of the request. This usually takes three
/// seconds: the service waits to fill a batch, the gateway waits for the rest of the trace, and Jaeger stores the
/// trace. On a busy machine, it takes longer.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(40);

/// The first pause between two checks. Each further pause is twice as long as the previous pause, up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The maximum pause between two checks.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Repeats `check` until it succeeds, and returns the result of `check`. Fails after `timeout` with the last error of
/// `check`.
pub async fn eventually<T>(
    condition: impl Display,
    timeout: Duration,
    mut check: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match check().await {
            Ok(found) => return Ok(found),
            Err(last) if started.elapsed() >= timeout => {
                return Err(last).with_context(|| {
                    format!("timed out after {} s, waiting until {condition}", timeout.as_secs_f32())
                });
            }
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn repeats_the_check_until_it_succeeds() {
        let mut checks = 0;
        let found = eventually("the third check runs", DEFAULT_TIMEOUT, async || {
            checks += 1;
            anyhow::ensure!(checks == 3, "{checks} checks");
            Ok(checks)
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn fails_with_the_last_error() {
        let error = eventually("all steps are done", Duration::from_millis(60), async || -> Result<()> {
            anyhow::bail!("one step is left")
        });
        let error = format!("{:#}", error.await.unwrap_err());
        assert_eq!(error, "timed out after 0.06 s, waiting until all steps are done: one step is left");
    }
}
