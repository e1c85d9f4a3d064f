//! `sightline trace TRACE_ID`: shows one trace.

use std::process::ExitCode;

use anyhow::Context as _;
use sightline::jaeger::{self, Jaeger, Trace, TraceId};
use sightline::output;
use sightline::stores::{LogSearch, Record, Stores};
use sightline::waterfall::{self, Options};
use time::{Duration, OffsetDateTime};

use super::block_on;
use super::pages::{JAEGER_FAILED, Pages};

/// The maximum number of log records to query.
const MAX_RECORDS: u32 = 2_000;
/// The time before and after a trace in which its log records are searched. A task can write records long after the
/// last span has ended. Without a limit, the log store would have to search everything that it has.
const MARGIN: Duration = Duration::HOUR;

/// Show a trace as a waterfall of services, spans, durations and errors, with the log records of each span
///
/// The log records are those from an hour before the trace to an hour after it. If the log store cannot be queried, a
/// warning on standard error says so, and the trace is shown without them.
///
/// Exits with 0 if Jaeger has the trace, 1 if it does not, and 2 if Jaeger cannot be queried.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trace id of 32 hex digits, or a whole traceparent header
    #[arg(value_name = "TRACE_ID")]
    id: TraceId,
    /// Also show attributes, events, links and resources, and each field of a log record on a line of its own
    #[arg(short, long)]
    verbose: bool,
    /// Do not show log records
    #[arg(long)]
    no_logs: bool,
    /// Print the stored spans as OTLP JSON instead
    #[arg(long, conflicts_with_all = ["verbose", "spans"])]
    json: bool,
    /// Maximum number of spans to show
    #[arg(long, default_value_t = 500, value_name = "N")]
    spans: usize,
    #[command(flatten)]
    pages: Pages,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let (jaeger, stores) = args.pages.both()?;
        let found = if args.json {
            print_json(&jaeger, &args.id).await.context(JAEGER_FAILED)?
        } else {
            let trace = jaeger.trace(&args.id).await.context(JAEGER_FAILED)?;
            if let Some(trace) = &trace {
                let records = if args.no_logs { Vec::new() } else { records(&stores, &args.id, trace).await };
                let options = Options {
                    width: output::terminal_width(),
                    colour: output::use_colour(),
                    attributes: args.verbose,
                    max_spans: args.spans,
                    caller: None,
                    records: &records,
                };
                output::println(format_args!("From Jaeger at {}\n", jaeger.address()));
                output::print(&waterfall::render(trace, &options));
            }
            trace.is_some()
        };
        if found {
            return Ok(ExitCode::SUCCESS);
        }
        output::eprintln(not_found(&args.id, jaeger.address()));
        Ok(ExitCode::from(1))
    })
}

/// Returns the log records of a trace. Prints a warning if they cannot be queried, because the trace is useful without
/// them.
async fn records(stores: &Stores, id: &TraceId, trace: &Trace) -> Vec<Record> {
    let time = |nanoseconds: u64| OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds)).ok();
    let bounds = trace.bounds();
    let search = LogSearch {
        trace: Some(id.clone()),
        from: bounds.and_then(|(start, _)| time(start)?.checked_sub(MARGIN)),
        to: bounds.and_then(|(_, end)| time(end)?.checked_add(MARGIN)),
        ..LogSearch::default()
    };
    match stores.logs(&search, MAX_RECORDS).await {
        Ok(records) => {
            if records.len() == MAX_RECORDS as usize {
                output::eprintln(format_args!(
                    "sightline: only the last {MAX_RECORDS} log records of the trace are shown: `sightline logs --trace \
                     {id}` shows more"
                ));
            }
            records
        }
        Err(error) => {
            output::eprintln(format_args!(
                "sightline: the log records of the trace are not shown (--no-logs omits this warning): {:#}",
                anyhow::Error::new(error)
            ));
            Vec::new()
        }
    }
}

/// Prints the trace as one OTLP JSON document. Returns whether Jaeger has the trace.
async fn print_json(jaeger: &Jaeger, id: &TraceId) -> anyhow::Result<bool> {
    let Some(text) = jaeger.trace_text(id).await? else {
        return Ok(false);
    };
    let document = jaeger::merge(&text)?;
    output::println(serde_json::to_string_pretty(&document)?);
    Ok(true)
}

fn not_found(id: &TraceId, address: &str) -> String {
    format!(
        "Jaeger at {address} has no trace {id}. Check these points:\n\
         - Is the trace only seconds old? A service exports spans every 5 s, and the gateway waits before it\n  \
           decides which traces to keep. Try again.\n\
         - Was it sampled? The traceparent of a sampled trace ends with 01. Of the sampled traces, the gateway\n  \
           keeps all failed and slow ones, and SIGHTLINE_SAMPLING_PERCENTAGE percent of the others.\n\
         - Does the log store have records of it? Run `sightline logs --trace {id}`. Log records are not\n  \
           sampled.\n\
         - Does Jaeger receive any traces? Run `sightline traces --service NAME` with the name of a service.\n\
         - docs/troubleshoot.md describes how to check each hop."
    )
}
