//! The commands. Each module defines the arguments of one command, and what the command runs and prints.

pub(crate) mod certs;
pub(crate) mod check;
pub(crate) mod die_with_parent;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod new_service;
mod pages;
pub(crate) mod remove_examples;
pub(crate) mod services;
mod services_file;
pub(crate) mod trace;
pub(crate) mod traces;
pub(crate) mod up;

use anyhow::Context as _;
use time::Duration;
use url::Url;

fn ensure_http(option: &str, url: &Url) -> anyhow::Result<()> {
    anyhow::ensure!(
        matches!(url.scheme(), "http" | "https"),
        "{option} {url}: use an address that starts with http:// or https://"
    );
    Ok(())
}

/// Runs a future on the current thread.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?
        .block_on(work)
}

/// Parses a duration such as `90s`, `15m`, `2h` or `7d`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid =
        || format!("{text:?} is not a duration: use a whole number followed by s, m, h or d, as in 15m");
    let unit = text.chars().last().ok_or_else(invalid)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(invalid()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| invalid())?;
    // The maximum is a hundred years, because subtracting the duration from the current time must give a valid date.
    let days = i64::from(number) * seconds / 86_400;
    if number == 0 || days > 36_500 {
        Err(invalid())
    } else {
        Ok(Duration::seconds(i64::from(number) * seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_durations() {
        assert_eq!(parse_duration("90s"), Ok(Duration::seconds(90)));
        assert_eq!(parse_duration("15m"), Ok(Duration::minutes(15)));
        assert_eq!(parse_duration("7d"), Ok(Duration::days(7)));
        for text in ["", "m", "0s", "15", "1w", "-1h", "1.5h", "4294967295d", "1ü"] {
            parse_duration(text).unwrap_err();
        }
    }
}
