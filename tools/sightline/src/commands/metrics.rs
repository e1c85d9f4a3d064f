//! `sightline metrics`: shows the rate, the errors and the latency of each operation.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use sightline::stores::{Operation, StoreError, Stores};
use sightline::waterfall::text::escape;
use sightline::{operations_table, output};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::pages::{METRICS_FAILED, Pages};
use super::{block_on, parse_duration};

/// Show the rate, the errors and the latency of each service by route or method
///
/// The services measure HTTP and gRPC requests themselves, so the numbers include requests whose trace was not kept. A
/// service without these metrics is shown with the gateway's metrics of its spans.
///
/// Exits with 0 if there were requests, 1 if there were none, and 2 if the metrics store cannot be queried. With
/// --watch, exits with 0 on Ctrl-C.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show only the requests that this service served
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The time up to now over which to count, such as 90s, 15m, 2h or 7d
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = parse_duration)]
    since: Duration,
    /// Show the table again in each interval. If standard output is not a terminal, the tables are printed one after
    /// the other
    #[arg(short, long)]
    watch: bool,
    /// The interval of --watch
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = parse_duration, requires = "watch")]
    interval: Duration,
    /// Print one line of JSON instead of a table. Durations are in seconds, rates are per second
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pages: Pages,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let watch = args.watch;
        tokio::select! {
            result = show(args) => result,
            // Without --watch, Ctrl-C ends the program with the status of the signal, as it ends other programs.
            _ = tokio::signal::ctrl_c(), if watch => Ok(ExitCode::SUCCESS),
        }
    })
}

async fn show(args: Args) -> anyhow::Result<ExitCode> {
    let stores = args.pages.stores()?;
    let search = Search { stores, service: args.service, since: args.since };
    let (mut at, mut result) = search.run().await;
    if !args.watch {
        let operations = result.context(METRICS_FAILED)?;
        if args.json {
            output::println(json_line(at, args.since, &operations));
        } else if !operations.is_empty() {
            search.table(at, &operations).iter().for_each(output::println);
        }
        if operations.is_empty() {
            output::eprintln(search.nothing_found());
            return Ok(ExitCode::from(1));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if result.is_err() {
        // If the first query fails, the address is probably wrong.
        result = Ok(result.context(METRICS_FAILED)?);
    }
    loop {
        let reads = match result {
            Ok(operations) if args.json => output::try_println(json_line(at, args.since, &operations)),
            Ok(operations) => {
                let mut lines = search.table(at, &operations);
                if operations.is_empty() {
                    lines.push(search.nothing_found());
                }
                if output::can_redraw() {
                    lines.extend([String::new(), "Ctrl-C ends this view.".to_owned()]);
                }
                print(&lines)
            }
            Err(error) => {
                let error = format!("sightline: {:#}", anyhow::Error::new(error).context("trying again"));
                if output::can_redraw() && !args.json {
                    print(&[error])
                } else {
                    output::eprintln(error);
                    true
                }
            }
        };
        if !reads {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(args.interval.unsigned_abs()).await;
        (at, result) = search.run().await;
    }
}

/// What to query.
struct Search {
    stores: Stores,
    service: Option<String>,
    since: Duration,
}

impl Search {
    /// Returns the time of the query and the operations.
    async fn run(&self) -> (OffsetDateTime, Result<Vec<Operation>, StoreError>) {
        let now = OffsetDateTime::now_utc();
        (now, self.stores.operations(self.service.as_deref(), self.since, now).await)
    }

    fn table(&self, at: OffsetDateTime, operations: &[Operation]) -> Vec<String> {
        let clock = at.format(format_description!("[hour]:[minute]:[second] UTC")).unwrap_or_default();
        let heading = format!(
            "From the metrics store at {}, in the {} before {clock}",
            self.stores.address(),
            period(self.since)
        );
        let mut lines = vec![heading, String::new()];
        lines.extend(operations_table::lines(operations, output::terminal_width(), output::use_colour()));
        lines
    }

    fn nothing_found(&self) -> String {
        let service = self.service.as_ref().map_or_else(String::new, |name| format!(" of {}", escape(name)));
        format!(
            "The metrics store at {} has no requests{service} in the last {}. Send a request: it is counted after the \
             next export of the service, which is up to a minute later. Or change --since to look further back. \
             docs/troubleshoot.md describes how to check each hop.",
            self.stores.address(),
            period(self.since)
        )
    }
}

/// Prints lines: in the place of the last ones on a terminal, otherwise below them and with an empty line. Returns
/// whether the reader still reads.
fn print(lines: &[String]) -> bool {
    if output::can_redraw() {
        output::redraw(lines);
        return true;
    }
    lines.iter().all(output::try_println) && output::try_println("")
}

fn json_line(at: OffsetDateTime, since: Duration, operations: &[Operation]) -> String {
    let at = at.format(&Rfc3339).unwrap_or_default();
    json!({ "time": at, "since_seconds": since.whole_seconds(), "operations": operations }).to_string()
}

/// Formats a duration of whole seconds in its largest unit, as in `--since`.
fn period(duration: Duration) -> String {
    let seconds = duration.whole_seconds();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(unit, _)| seconds % unit == 0);
    let (unit, name) = unit.unwrap_or((1, "s"));
    format!("{}{name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_the_form_of_the_option() {
        for text in ["90s", "5m", "2h", "7d"] {
            assert_eq!(period(parse_duration(text).unwrap()), text);
        }
        assert_eq!(period(Duration::seconds(120)), "2m");
    }
}
