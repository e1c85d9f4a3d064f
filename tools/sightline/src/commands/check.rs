//! `sightline check`.

use std::process::ExitCode;

use anyhow::Context as _;
use sightline::demo::{self, DemoError};
use sightline::output;
use sightline::waterfall::{self, Options};
use time::Duration;
use url::Url;

use super::{Backend, NO_ANSWER, block_on, is_http, span_of_time};

/// Send an order and wait for its trace: does all of it work, from the services to Jaeger?
///
/// Exits with 0 when the trace is whole, 1 when spans are missing, 2 when the order is not served or Jaeger cannot be
/// asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The order-service to ask
    #[arg(long, value_name = "URL", env = "SIGHTLINE_ORDERS_URL", default_value = "http://127.0.0.1:8081")]
    orders: Url,
    /// How long the trace may take: 90s, 15m
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = span_of_time)]
    within: Duration,
    #[command(flatten)]
    backend: Backend,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    is_http("--orders", &args.orders)?;
    block_on(async {
        let jaeger = args.backend.client()?;
        let sent = demo::order(&args.orders).await.context(
            "no order was served (is `make up` running? --orders URL or SIGHTLINE_ORDERS_URL says where else it is)",
        )?;
        output::line(format_args!("{} → {}, trace {}", sent.request, sent.status, sent.trace_id));
        let waiting = |waited: std::time::Duration| {
            output::note(format_args!("  … {:.0} s, waiting for it in Jaeger", waited.as_secs_f64()));
        };
        match demo::complete(&jaeger, &sent, args.within.unsigned_abs(), waiting).await {
            Ok(trace) => {
                let options = Options {
                    width: output::width().min(120),
                    colour: output::colour(),
                    caller: Some(&sent.caller),
                    ..Options::default()
                };
                output::line(format_args!("Whole in Jaeger at {}\n", jaeger.address()));
                output::block(&waterfall::render(&trace, &options));
                Ok(ExitCode::SUCCESS)
            }
            Err(error @ DemoError::Incomplete { .. }) => {
                output::note(format_args!(
                    "sightline: {error}\nAsked was Jaeger at {}. docs/troubleshoot.md goes through it hop by hop.",
                    jaeger.address()
                ));
                Ok(ExitCode::from(1))
            }
            Err(error) => Err(error).context(NO_ANSWER),
        }
    })
}
