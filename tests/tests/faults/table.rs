//! Prints the table, and writes it to the documentation.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sightline_tests::test_stack::root;
use time::OffsetDateTime;

use crate::rows::Row;
use crate::run::Measured;

/// If this variable is set, the table replaces the one in [`PAGE`].
const UPDATE: &str = "UPDATE_FAULTS";

/// The page with the last table.
const PAGE: &str = "docs/faults.md";

/// The line after which the table begins.
const MARKER: &str = "<!-- The rest of this page is written by `make test-faults UPDATE_FAULTS=1`. -->\n";

const HEADER: &str = "\
| fault | failed requests | p99 before, during | spans made | stored | counted as lost | unaccounted | stored twice | recovered after |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

/// The rows that have been measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<String>,
}

impl Table {
    pub(crate) fn add(&mut self, row: &Row, measured: &Measured) {
        let milliseconds = |duration: Option<Duration>| match duration {
            Some(duration) => format!("{:.0} ms", duration.as_secs_f64() * 1e3),
            None => "none".to_owned(),
        };
        let (before, during) = measured.p99;
        self.rows.push(format!(
            "| {} | {} of {} | {}, {} | {} | {} | {} | {} | {} | {:.1} s |",
            row.name(),
            measured.failed,
            measured.requests,
            milliseconds(before),
            milliseconds(during),
            measured.made,
            measured.stored,
            measured.lost,
            measured.unaccounted(),
            measured.twice,
            measured.recovered.as_secs_f64(),
        ));
    }

    /// Prints the rows, and writes them to [`PAGE`] if [`UPDATE`] is set.
    #[expect(clippy::print_stdout, reason = "the measurements are a result of the test")]
    pub(crate) fn report(&self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let table = format!("{HEADER}{}\n", self.rows.join("\n"));
        println!("\n{table}");
        if std::env::var_os(UPDATE).is_none_or(|value| value.is_empty()) {
            return Ok(());
        }
        let path = root().join(PAGE);
        let page = std::fs::read_to_string(&path).with_context(|| format!("reading {PAGE} failed"))?;
        let (text, _) = page.split_once(MARKER).with_context(|| format!("{PAGE} has no line {MARKER}"))?;
        let mut page = format!("{text}{MARKER}");
        // Writing to a String cannot fail.
        let _ = write!(page, "\nMeasured on {}.\n\n{table}", OffsetDateTime::now_utc().date());
        std::fs::write(&path, page).with_context(|| format!("writing {PAGE} failed"))
    }
}
