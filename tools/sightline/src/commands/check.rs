//! `sightline check`: tests the whole path from the services to Jaeger and the stores next to it.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use sightline::demo::{self, DemoError, StoredError};
use sightline::jaeger::{Trace, TraceId};
use sightline::output;
use sightline::stores::Stores;
use sightline::waterfall::{self, Options};
use time::Duration;
use url::Url;

use super::pages::{JAEGER_FAILED, Pages};
use super::{block_on, ensure_http, parse_duration};

/// Send an order and wait until its trace is complete in Jaeger
///
/// Exits with 0 if the trace is complete, 1 if spans, log records or metrics are missing, and 2 if the order failed, or
/// Jaeger or a store cannot be queried.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of order-service
    #[arg(long, value_name = "URL", env = "SIGHTLINE_ORDERS_URL", default_value = "http://127.0.0.1:8081")]
    orders: Url,
    /// Also wait for the log records of the order, and for the metrics of the service that received it. --jaeger is then
    /// the address of the pages for traces, metrics and logs
    #[arg(long)]
    stores: bool,
    /// Maximum time to wait for the complete trace, and then for the log records and metrics, such as 90s or 15m
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = parse_duration)]
    within: Duration,
    #[command(flatten)]
    pages: Pages,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    ensure_http("--orders", &args.orders)?;
    block_on(async {
        let (jaeger, stores) = args.pages.both()?;
        let sent = demo::send_order(&args.orders).await.context(
            "the order failed (is `make up` running? If order-service is elsewhere, set --orders URL or \
             SIGHTLINE_ORDERS_URL)",
        )?;
        output::println(format_args!("{} → {}, trace {}", sent.request, sent.status, sent.trace_id));
        let began = Instant::now();
        let within = args.within.unsigned_abs();
        match demo::wait_until_complete(&jaeger, &sent, within, progress("the trace in Jaeger")).await {
            Ok(trace) => {
                let options = Options {
                    width: output::terminal_width().min(120),
                    colour: output::use_colour(),
                    caller: sent.caller.as_deref(),
                    ..Options::default()
                };
                output::println(format_args!("The trace is complete in Jaeger at {}\n", jaeger.address()));
                output::print(&waterfall::render(&trace, &options));
                if args.stores {
                    let left = within.saturating_sub(began.elapsed());
                    return check_stores(&stores, &sent.trace_id, &trace, left).await;
                }
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

/// Returns a function that prints what the program waits for, and since when.
fn progress(what: &'static str) -> impl FnMut(std::time::Duration) {
    move |waited| output::eprintln(format_args!("  … {:.0} s, waiting for {what}", waited.as_secs_f64()))
}

async fn check_stores(
    stores: &Stores,
    id: &TraceId,
    trace: &Trace,
    within: std::time::Duration,
) -> anyhow::Result<ExitCode> {
    let progress = progress("the log records and metrics of the order");
    match demo::wait_until_stored(stores, id, trace, within, progress).await {
        Ok(found) => {
            output::println(format_args!(
                "\nThe stores have {} log records of the trace, and the metrics of {}",
                found.log_records, found.service
            ));
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ StoredError::Missing { .. }) => {
            output::eprintln(format_args!(
                "sightline: {error}\nThe pages are at {}. docs/troubleshoot.md describes how to check each hop.",
                stores.address()
            ));
            Ok(ExitCode::from(1))
        }
        Err(error) => Err(error.into()),
    }
}
