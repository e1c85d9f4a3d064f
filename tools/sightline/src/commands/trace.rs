//! `sightline trace ID`.

use std::process::ExitCode;

use anyhow::Context as _;
use sightline::jaeger::{self, Jaeger, TraceId};
use sightline::output;
use sightline::waterfall::{self, Options};

use super::{Backend, NO_ANSWER, block_on};

/// Show a trace as a waterfall: services, spans, durations, errors
///
/// Exits with 0 when the trace is there, 1 when it is not, 2 when Jaeger cannot be asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trace id of 32 hex digits, or a whole traceparent header
    #[arg(value_name = "ID")]
    id: TraceId,
    /// Also attributes, events, links and resources
    #[arg(short, long)]
    verbose: bool,
    /// The stored spans as OTLP JSON instead
    #[arg(long, conflicts_with_all = ["verbose", "spans"])]
    json: bool,
    /// Show at most so many spans
    #[arg(long, default_value_t = 500, value_name = "N")]
    spans: usize,
    #[command(flatten)]
    backend: Backend,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let jaeger = args.backend.client()?;
        let found = if args.json {
            print_json(&jaeger, &args.id).await.context(NO_ANSWER)?
        } else {
            let trace = jaeger.trace(&args.id).await.context(NO_ANSWER)?;
            trace
                .inspect(|trace| {
                    let options = Options {
                        width: output::width(),
                        colour: output::colour(),
                        attributes: args.verbose,
                        max_spans: args.spans,
                        caller: None,
                    };
                    output::line(format_args!("From Jaeger at {}\n", jaeger.address()));
                    output::block(&waterfall::render(trace, &options));
                })
                .is_some()
        };
        if found {
            return Ok(ExitCode::SUCCESS);
        }
        output::note(not_found(&args.id, jaeger.address()));
        Ok(ExitCode::from(1))
    })
}

/// Prints the trace as one document of OTLP; says whether there was one.
async fn print_json(jaeger: &Jaeger, id: &TraceId) -> anyhow::Result<bool> {
    let Some(text) = jaeger.trace_text(id).await? else {
        return Ok(false);
    };
    let document = jaeger::merge(&text)?;
    output::line(serde_json::to_string_pretty(&document)?);
    Ok(true)
}

fn not_found(id: &TraceId, address: &str) -> String {
    format!(
        "No trace {id} in Jaeger at {address}. What to check:\n\
         - Is it only seconds old? A service sends every 5 s, a gateway waits before it decides: try again.\n\
         - Was it kept? The last two digits of the traceparent say 01 when the caller sampled it, and the\n  \
           gateway keeps failed and slow traces and SIGHTLINE_SAMPLING_PERCENTAGE of the rest.\n\
         - Is anything arriving? sightline traces --service order-service\n\
         - docs/troubleshoot.md goes through it hop by hop."
    )
}
