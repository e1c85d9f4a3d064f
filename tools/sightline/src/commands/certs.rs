//! `sightline certs`.

use std::path::PathBuf;

use anyhow::Context as _;
use sightline::certs::{self, Entry, Outcome};
use sightline::output;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// Make certificates for mutual TLS, or renew those that need it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory of the certificates: DIR/ca and one directory for each identity
    #[arg(long, default_value = ".sightline/certs")]
    dir: PathBuf,
    /// A further identity; becomes a directory and a host name in the certificate
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Days that a certificate made now will live
    #[arg(long, default_value_t = certs::LEAF_LIFE.whole_days(), value_parser = clap::value_parser!(i64).range(1..=3650))]
    days: i64,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut request = certs::Request { life: Duration::days(args.days), ..certs::Request::local(args.dir) };
    for name in args.names {
        if !request.identities.contains(&name) {
            request.identities.push(name);
        }
    }
    let report = certs::ensure(&request).context("no certificates")?;
    let now = OffsetDateTime::now_utc();
    output::line(describe(&report.authority, now));
    for entry in &report.identities {
        output::line(describe(entry, now));
    }
    Ok(())
}

fn describe(entry: &Entry, now: OffsetDateTime) -> String {
    let done = match &entry.outcome {
        Outcome::Made => "made",
        Outcome::Kept => "kept",
        Outcome::Renewed(_) => "renewed",
    };
    let until = entry.validity.not_after;
    let date =
        until.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).unwrap_or_default();
    // Rounded: ninety days a second ago are ninety days.
    let days = (until - now + Duration::hours(12)).whole_days();
    let why = match &entry.outcome {
        Outcome::Renewed(reason) => format!(": {reason}"),
        Outcome::Made | Outcome::Kept => String::new(),
    };
    format!("{:<18} {done:<8} valid until {date} ({days} days){why}", entry.name)
}
