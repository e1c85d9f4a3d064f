//! `sightline traces --service S`.

use std::process::ExitCode;

use anyhow::Context as _;
use sightline::jaeger::{Jaeger, Search, Trace};
use sightline::output;
use sightline::waterfall::text::{duration, escape, fit};
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::{Backend, NO_ANSWER, block_on, span_of_time};

/// List the traces in which a service took part, newest first
///
/// Exits with 0 when there are any, 1 when there are none, 2 when Jaeger cannot be asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The service's name, as in service.name
    #[arg(long)]
    service: String,
    /// List at most so many
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// How far back: 90s, 15m, 2h, 7d
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = span_of_time)]
    since: Duration,
    #[command(flatten)]
    backend: Backend,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let jaeger = args.backend.client()?;
        let now = OffsetDateTime::now_utc();
        // A little past now: the clock of a service may be ahead of ours.
        let to = now + Duration::minutes(1);
        let search = Search { service: args.service, from: now - args.since, to, limit: args.limit };
        let traces = jaeger.traces(&search).await.context(NO_ANSWER)?;
        if traces.is_empty() {
            output::note(none(&jaeger, &search.service).await?);
            return Ok(ExitCode::from(1));
        }
        output::line(format_args!("From Jaeger at {}\n", jaeger.address()));
        output::line(format_args!(
            "{:<14} {:<32} {:>8} {:>5} {:>6} ROOT",
            "STARTED UTC", "TRACE", "DURATION", "SPANS", "ERRORS"
        ));
        let columns = output::width().max(110) - 70;
        for trace in &traces {
            output::line(describe(trace, columns));
        }
        if traces.len() == search.limit as usize {
            output::note(format_args!(
                "\nThere may be more: --limit shows them, --since looks further back."
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

/// Nothing found: tells a name that is not there from one that was silent.
async fn none(jaeger: &Jaeger, service: &str) -> anyhow::Result<String> {
    let services = jaeger.services().await.context(NO_ANSWER)?;
    let address = jaeger.address();
    let service = escape(service);
    Ok(if services.iter().any(|name| *name == service) {
        format!("No trace of {service} in that time in Jaeger at {address}: --since looks further back.")
    } else if services.is_empty() {
        format!("Jaeger at {address} has no spans at all. docs/troubleshoot.md goes through it hop by hop.")
    } else {
        let names: Vec<_> = services.iter().map(|name| escape(name)).collect();
        format!("Jaeger at {address} has no service {service}. It has: {}.", names.join(", "))
    })
}
