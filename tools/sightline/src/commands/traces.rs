//! `sightline traces --service NAME`: lists the traces of a service.

use std::process::ExitCode;

use anyhow::Context as _;
use sightline::jaeger::{Jaeger, Search, Trace};
use sightline::output;
use sightline::waterfall::text::{duration, escape, fit};
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::pages::{JAEGER_FAILED, Pages};
use super::{block_on, parse_duration};

/// List the traces that contain spans of a service, newest first
///
/// Exits with 0 if there are traces, 1 if there are none, and 2 if Jaeger cannot be queried.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the service, which is its resource attribute service.name
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Maximum number of traces to list
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// How far to look back, such as 90s, 15m, 2h or 7d
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = parse_duration)]
    since: Duration,
    #[command(flatten)]
    pages: Pages,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let jaeger = args.pages.jaeger()?;
        let now = OffsetDateTime::now_utc();
        // The clock of a service may be ahead of the clock of this machine, so search up to one minute in the future.
        let to = now + Duration::minutes(1);
        let search = Search { service: args.service, from: now - args.since, to, limit: args.limit };
        let traces = jaeger.traces(&search).await.context(JAEGER_FAILED)?;
        if traces.is_empty() {
            output::eprintln(nothing_found(&jaeger, &search.service).await?);
            return Ok(ExitCode::from(1));
        }
        output::println(format_args!("From Jaeger at {}\n", jaeger.address()));
        output::println(format_args!(
            "{:<14} {:<32} {:>8} {:>5} {:>6} ROOT",
            "STARTED UTC", "TRACE", "DURATION", "SPANS", "ERRORS"
        ));
        let columns = output::terminal_width().max(110) - 70;
        for trace in &traces {
            output::println(describe(trace, columns));
        }
        if traces.len() == search.limit as usize {
            output::eprintln(format_args!(
                "\nThere may be more traces: increase --limit, or change --since to look further back."
            ));
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn describe(trace: &Trace, columns: usize) -> String {
    let (start, end) = trace.bounds().unwrap_or_default();
    let started = OffsetDateTime::from_unix_timestamp_nanos(i128::from(start))
        .ok()
        .and_then(|at| at.format(format_description!("[month]-[day] [hour]:[minute]:[second]")).ok())
        .unwrap_or_default();
    let errors = trace.spans.iter().filter(|span| span.is_error()).count();
    let root = trace
        .spans
        .iter()
        .min_by_key(|span| (span.parent_span_id.is_some(), span.start))
        .map(|span| format!("{}: {}", escape(&span.service), escape(&span.name)))
        .unwrap_or_default();
    format!(
        "{started:<14} {:<32} {:>8} {:>5} {:>6} {}",
        escape(&trace.id),
        duration(end - start),
        trace.spans.len(),
        if errors == 0 { "-".to_owned() } else { errors.to_string() },
        fit(&root, columns).trim_end(),
    )
}

/// Explains an empty result: Jaeger does not know the service, or has no trace of the service in the searched period.
async fn nothing_found(jaeger: &Jaeger, service: &str) -> anyhow::Result<String> {
    let services = jaeger.services().await.context(JAEGER_FAILED)?;
    let address = jaeger.address();
    let service = escape(service);
    Ok(if services.iter().any(|name| *name == service) {
        format!("Jaeger at {address} has no recent trace of {service}: change --since to look further back.")
    } else if services.is_empty() {
        format!("Jaeger at {address} has no spans. docs/troubleshoot.md describes how to check each hop.")
    } else {
        let names: Vec<_> = services.iter().map(|name| escape(name)).collect();
        format!("Jaeger at {address} has no service {service}. Its services are: {}.", names.join(", "))
    })
}
