//! Looking again until it is so.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How long telemetry may take from the request to where it is looked for. Usually it takes three seconds: the
/// service's batch, the gateway's wait for the rest of a trace, Jaeger. A busy machine takes longer.
pub const SOON: Duration = Duration::from_secs(40);

/// Between two looks, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// Looks until `look` succeeds, and gives back what it found. Fails when `within` is over, with what the last look saw.
pub async fn eventually<T>(
    what: impl Display,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let begun = Instant::now();
    let mut pause = PAUSE.0;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(last) if begun.elapsed() >= within => {
                return Err(last).with_context(|| format!("not within {} s: {what}", within.as_secs_f32()));
            }
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn looks_until_it_is_so() {
        let mut looks = 0;
        let found = eventually("three looks", SOON, async || {
            looks += 1;
            anyhow::ensure!(looks == 3, "{looks} looks");
            Ok(looks)
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn says_what_it_saw_last() {
        let error = eventually("the end", Duration::from_millis(60), async || -> Result<()> {
            anyhow::bail!("only the middle")
        });
        let error = format!("{:#}", error.await.unwrap_err());
        assert_eq!(error, "not within 0.06 s: the end: only the middle");
    }
}
