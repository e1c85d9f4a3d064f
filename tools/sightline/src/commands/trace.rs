//! `sightline trace TRACE_ID`: shows one trace.

use std::process::ExitCode;

use anyhow::Context as _;
use sightline::jaeger::{self, Jaeger, TraceId};
use sightline::output;
use sightline::waterfall::{self, Options};

use super::{Backend, JAEGER_FAILED, block_on};

/// Show a trace as a waterfall of services, spans, durations and errors
///
/// Exits with 0 if Jaeger has the trace, 1 if it does not, and 2 if Jaeger cannot be queried.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trace id of 32 hex digits, or a whole traceparent header
    #[arg(value_name = "TRACE_ID")]
    id: TraceId,
    /// Also show attributes, events, links and resources
    #[arg(short, long)]
    verbose: bool,
    /// Print the stored spans as OTLP JSON instead
    #[arg(long, conflicts_with_all = ["verbose", "spans"])]
    json: bool,
    /// Maximum number of spans to show
    #[arg(long, default_value_t = 500, value_name = "N")]
    spans: usize,
    #[command(flatten)]
    backend: Backend,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let jaeger = args.backend.client()?;
        let found = if args.json {
            print_json(&jaeger, &args.id).await.context(JAEGER_FAILED)?
        } else {
            let trace = jaeger.trace(&args.id).await.context(JAEGER_FAILED)?;
            trace
                .inspect(|trace| {
                    let options = Options {
                        width: output::terminal_width(),
                        colour: output::use_colour(),
                        attributes: args.verbose,
                        max_spans: args.spans,
                        caller: None,
                    };
                    output::println(format_args!("From Jaeger at {}\n", jaeger.address()));
                    output::print(&waterfall::render(trace, &options));
                })
                .is_some()
        };
        if found {
            return Ok(ExitCode::SUCCESS);
        }
        output::eprintln(not_found(&args.id, jaeger.address()));
        Ok(ExitCode::from(1))
    })
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
         - Does Jaeger receive any traces? Run `sightline traces --service NAME` with the name of a service.\n\
         - docs/troubleshoot.md describes how to check each hop."
    )
}
