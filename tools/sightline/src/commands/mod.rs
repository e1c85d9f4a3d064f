//! One module for each command: its arguments, and what it prints.

pub(crate) mod certs;
pub(crate) mod check;
pub(crate) mod trace;
pub(crate) mod traces;
pub(crate) mod up;
pub(crate) mod with_parent;

use anyhow::Context as _;
use sightline::jaeger::Jaeger;
use time::Duration;
use url::Url;

/// Which backend to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct Backend {
    /// Jaeger to ask: the address of its UI and API
    #[arg(long, value_name = "URL", env = "SIGHTLINE_JAEGER_URL", default_value = "http://127.0.0.1:16686")]
    jaeger: Url,
}

impl Backend {
    fn client(self) -> anyhow::Result<Jaeger> {
        is_http("--jaeger", &self.jaeger)?;
        Ok(Jaeger::new(self.jaeger)?)
    }
}

fn is_http(option: &str, url: &Url) -> anyhow::Result<()> {
    anyhow::ensure!(matches!(url.scheme(), "http" | "https"), "{option} {url}: not an http address");
    Ok(())
}

/// What to do when Jaeger gives no answer.
const NO_ANSWER: &str =
    "could not ask Jaeger (is `make up` running? --jaeger URL or SIGHTLINE_JAEGER_URL says where else it is)";

/// Runs a command that waits for few answers on this thread.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}

/// A number and a unit.
fn span_of_time(text: &str) -> Result<Duration, String> {
    let unusable = || format!("{text:?} is no span of time: a number and s, m, h or d, as in 15m");
    let unit = text.chars().last().ok_or_else(unusable)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(unusable()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| unusable())?;
    // Further back than this no clock was.
    let days = i64::from(number) * seconds / 86_400;
    if number == 0 || days > 36_500 {
        Err(unusable())
    } else {
        Ok(Duration::seconds(i64::from(number) * seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read() {
        assert_eq!(span_of_time("90s"), Ok(Duration::seconds(90)));
        assert_eq!(span_of_time("15m"), Ok(Duration::minutes(15)));
        assert_eq!(span_of_time("7d"), Ok(Duration::days(7)));
        for text in ["", "m", "0s", "15", "1w", "-1h", "1.5h", "4294967295d", "1ü"] {
            span_of_time(text).unwrap_err();
        }
    }
}
