//! `sightline logs`: shows log records, and follows new ones.

use std::collections::{HashSet, VecDeque};
use std::process::ExitCode;

use anyhow::Context as _;
use sightline::jaeger::TraceId;
use sightline::stores::{Follow, Level, LogSearch, Record, StoreError, Stores};
use sightline::waterfall::text::escape;
use sightline::{log_lines, output};
use time::{Duration, OffsetDateTime};
use tokio::time::Instant;

use super::pages::{LOGS_FAILED, Pages};
use super::{block_on, parse_duration};

/// How far to look back without `--since` and `--trace`.
const DEFAULT_SINCE: Duration = Duration::HOUR;
/// The default of `--limit`, without and with `--follow`.
const DEFAULT_LIMIT: (u32, u32) = (100, 10);
/// The time before a new stream of which the store sends the records too. It is longer than the time that the store
/// waits for late records.
const OVERLAP: std::time::Duration = std::time::Duration::from_secs(15);
/// The time between two attempts to connect to the store again.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);
/// The number of records that are remembered, so that they are not shown twice.
const REMEMBERED: usize = 10_000;

/// Show the log records of services, the newest last
///
/// Exits with 0 if there are records, 1 if there are none, and 2 if the log store cannot be queried. With --follow,
/// exits with 0 on Ctrl-C.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show only the records of this service, whose name is its resource attribute service.name
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Show only the records of this trace: an id of 32 hex digits, or a whole traceparent header
    #[arg(long, value_name = "TRACE_ID")]
    trace: Option<TraceId>,
    /// Show only the records of this level and above: trace, debug, info, warn, error or fatal
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Show new records as they arrive. A record appears about five seconds after it was written. A record that arrives
    /// in the store later than that may be left out
    #[arg(short, long)]
    follow: bool,
    /// How far to look back, such as 90s, 15m, 2h or 7d [default: 1h; with --trace everything that is stored]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    since: Option<Duration>,
    /// Maximum number of records to show, without the new ones of --follow. The newest are shown [default: 100; with
    /// --follow 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: Option<u32>,
    /// Print each record as a line of JSON, with all its fields
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pages: Pages,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let follow = args.follow;
        tokio::select! {
            result = show(args) => result,
            // Without --follow, Ctrl-C ends the program with the status of the signal, as it ends other programs.
            _ = tokio::signal::ctrl_c(), if follow => Ok(ExitCode::SUCCESS),
        }
    })
}

async fn show(args: Args) -> anyhow::Result<ExitCode> {
    let stores = args.pages.stores()?;
    let view = View { json: args.json, trace_ids: args.trace.is_none(), colour: output::use_colour() };
    let since = args.since.or_else(|| args.trace.is_none().then_some(DEFAULT_SINCE));
    let search = LogSearch {
        service: args.service,
        trace: args.trace,
        level: args.level,
        from: since.map(|since| OffsetDateTime::now_utc() - since),
        to: None,
    };
    let limit = args.limit.unwrap_or(if args.follow { DEFAULT_LIMIT.1 } else { DEFAULT_LIMIT.0 });
    let records = stores.logs(&search, limit).await.context(LOGS_FAILED)?;
    if records.is_empty() && !args.follow {
        output::eprintln(nothing_found(&stores, &search).await?);
        return Ok(ExitCode::from(1));
    }
    if !view.json {
        output::println(format_args!("From the log store at {}\n", stores.address()));
    }
    let mut seen = Seen::default();
    for record in &records {
        seen.add(record);
        if !view.print(record) {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if args.follow {
        return follow(&stores, &search, &view, seen).await;
    }
    if records.len() == limit as usize {
        output::eprintln("\nThere may be older records: increase --limit.");
    }
    Ok(ExitCode::SUCCESS)
}

/// How records are printed.
struct View {
    json: bool,
    trace_ids: bool,
    colour: bool,
}

impl View {
    /// Prints a record. Returns whether the reader still reads.
    fn print(&self, record: &Record) -> bool {
        if self.json {
            output::try_println(record.to_json())
        } else {
            output::try_println(log_lines::line(record, self.trace_ids, self.colour))
        }
    }
}

/// The last records that were printed.
#[derive(Default)]
struct Seen {
    records: HashSet<Record>,
    order: VecDeque<Record>,
}

impl Seen {
    /// Remembers a record. Returns whether it is new.
    fn add(&mut self, record: &Record) -> bool {
        if !self.records.insert(record.clone()) {
            return false;
        }
        self.order.push_back(record.clone());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.records.remove(&oldest);
        }
        true
    }
}

/// Prints new records until the reader closes the pipe. If the connection to the store breaks, connects again.
async fn follow(
    stores: &Stores,
    search: &LogSearch,
    view: &View,
    mut seen: Seen,
) -> anyhow::Result<ExitCode> {
    // If the store cannot be followed from the start, trying again would not help.
    let mut stream = stores.follow(search, OVERLAP).await.context(LOGS_FAILED)?;
    loop {
        let ended = match stream.next().await {
            Ok(Some(record)) => {
                if seen.add(&record) && !view.print(&record) {
                    return Ok(ExitCode::SUCCESS);
                }
                continue;
            }
            Ok(None) => "the log store has ended the stream".to_owned(),
            Err(error) => format!("{:#}", anyhow::Error::new(error)),
        };
        let broken = Instant::now();
        output::eprintln(format_args!("sightline: {ended}: connecting again …"));
        stream = reconnect(stores, search, broken).await.context(LOGS_FAILED)?;
        output::eprintln("sightline: connected again.");
    }
}

/// Connects until it succeeds. The new stream starts before the time at which the last one ended, so no record is left
/// out. Fails if the store rejects the request.
async fn reconnect(stores: &Stores, search: &LogSearch, broken: Instant) -> Result<Follow, StoreError> {
    loop {
        tokio::time::sleep(RETRY).await;
        match stores.follow(search, broken.elapsed() + OVERLAP).await {
            Err(error) if error.is_rejection() => return Err(error),
            Err(_) => {}
            Ok(stream) => return Ok(stream),
        }
    }
}

/// Explains an empty result: the log store does not know the service, or has no such record in the searched period.
async fn nothing_found(stores: &Stores, search: &LogSearch) -> anyhow::Result<String> {
    let services = stores.log_services(search.from).await.context(LOGS_FAILED)?;
    let address = stores.address();
    if services.is_empty() {
        return Ok(format!(
            "The log store at {address} has no log records of this time. Send a request, or change --since to look \
             further back. docs/troubleshoot.md describes how to check each hop."
        ));
    }
    let unknown = search.service.as_ref().filter(|name| !services.contains(*name));
    Ok(match (unknown, &search.trace) {
        (Some(name), _) => {
            let names: Vec<_> = services.iter().map(|name| escape(name)).collect();
            let name = escape(name);
            format!(
                "The log store at {address} has no log records of {name}. It has those of {}.",
                names.join(", ")
            )
        }
        (None, Some(trace)) => format!(
            "The log store at {address} has no such log record of trace {trace}. Is the trace only seconds old? Then \
             try again."
        ),
        (None, None) => format!(
            "The log store at {address} has no such log record: change --since to look further back, or use a lower \
             --level."
        ),
    })
}
