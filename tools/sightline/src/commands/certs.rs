//! `sightline certs`: creates and renews certificates.

use std::path::PathBuf;

use anyhow::Context as _;
use sightline::certs::{self, Entry, Outcome};
use sightline::output;
use sightline::stack::StackSpec;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::services_file;

/// Create the certificates for mutual TLS, or renew them if necessary
///
/// Creates a CA, and one certificate for each process of the pipeline, for each service of sightline.toml and for each
/// --name. Renews a certificate if
/// less than a third of its lifetime is left, if its CA or its names have changed, or if its files are damaged. Keeps
/// all other certificates.
///
/// Exits with 0 if all certificates can be used, and 2 otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory for the certificates. It contains ca/ and one directory for each identity
    #[arg(long, default_value = ".sightline/certs")]
    dir: PathBuf,
    /// Additional identity. NAME is the name of its directory and a DNS name in its certificate. Can be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Services file to read instead of sightline.toml in the checkout. Outside a checkout, no file is read by default
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Lifetime of new certificates in days
    #[arg(
        long,
        default_value_t = certs::LEAF_LIFETIME.whole_days(),
        value_parser = clap::value_parser!(i64).range(1..=3650)
    )]
    days: i64,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let spec = if args.file.is_some() || services_file::checkout().is_some() {
        services_file::load(args.file.as_deref())?
    } else {
        StackSpec::pipeline_only()?
    };
    let mut request = certs::Request {
        lifetime: Duration::days(args.days),
        ..certs::Request::new(args.dir, spec.identities())
    };
    for name in args.names {
        if !request.identities.contains(&name) {
            request.identities.push(name);
        }
    }
    let report = certs::ensure(&request).context("cannot create or renew the certificates")?;
    let now = OffsetDateTime::now_utc();
    output::println(describe(&report.ca, now));
    for entry in &report.identities {
        output::println(describe(entry, now));
    }
    Ok(())
}

fn describe(entry: &Entry, now: OffsetDateTime) -> String {
    let outcome = match &entry.outcome {
        Outcome::Created => "created",
        Outcome::Kept => "kept",
        Outcome::Renewed(_) => "renewed",
    };
    let not_after = entry.validity.not_after;
    let date =
        not_after.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).unwrap_or_default();
    // Round to the nearest day. A certificate with a lifetime of 90 days is then shown as valid for 90 days, even a
    // second after its creation.
    let days = (not_after - now + Duration::hours(12)).whole_days();
    let reason = match &entry.outcome {
        Outcome::Renewed(reason) => format!(": {reason}"),
        Outcome::Created | Outcome::Kept => String::new(),
    };
    format!("{:<18} {outcome:<8} valid until {date} ({days} days){reason}", entry.name)
}
