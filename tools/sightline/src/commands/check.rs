//! `sightline check`: tests the whole path from the services to Jaeger.

use std::process::ExitCode;

use anyhow::Context as _;
use sightline::demo::{self, DemoError};
use sightline::output;
use sightline::waterfall::{self, Options};
use time::Duration;
use url::Url;

use super::pages::{JAEGER_FAILED, Pages};
use super::{block_on, ensure_http, parse_duration};

/// Send an order and wait until its trace is complete in Jaeger
///
/// Exits with 0 if the trace is complete, 1 if spans are missing, and 2 if the order failed or Jaeger cannot be
/// queried.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of order-service
    #[arg(long, value_name = "URL", env = "SIGHTLINE_ORDERS_URL", default_value = "http://127.0.0.1:8081")]
    orders: Url,
    /// Maximum time to wait for the complete trace, such as 90s or 15m
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = parse_duration)]
    within: Duration,
    #[command(flatten)]
    pages: Pages,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    ensure_http("--orders", &args.orders)?;
    block_on(async {
        let jaeger = args.pages.jaeger()?;
        let sent = demo::send_order(&args.orders).await.context(
            "the order failed (is `make up` running? If order-service is elsewhere, set --orders URL or \
             SIGHTLINE_ORDERS_URL)",
        )?;
        output::println(format_args!("{} → {}, trace {}", sent.request, sent.status, sent.trace_id));
        let progress = |waited: std::time::Duration| {
            output::eprintln(format_args!(
                "  … {:.0} s, waiting for the trace in Jaeger",
                waited.as_secs_f64()
            ));
        };
        match demo::wait_until_complete(&jaeger, &sent, args.within.unsigned_abs(), progress).await {
            Ok(trace) => {
                let options = Options {
                    width: output::terminal_width().min(120),
                    colour: output::use_colour(),
                    caller: sent.caller.as_deref(),
                    ..Options::default()
                };
                output::println(format_args!("The trace is complete in Jaeger at {}\n", jaeger.address()));
                output::print(&waterfall::render(&trace, &options));
                Ok(ExitCode::SUCCESS)
            }
            Err(error @ DemoError::Incomplete { .. }) => {
                output::eprintln(format_args!(
                    "sightline: {error}\nJaeger is at {}. docs/troubleshoot.md describes how to check each hop.",
                    jaeger.address()
                ));
                Ok(ExitCode::from(1))
            }
            Err(error) => Err(error).context(JAEGER_FAILED),
        }
    })
}
