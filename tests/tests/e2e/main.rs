//! Tests of the complete stack through its public endpoints.

mod additions;
mod alerts;
mod certificates;
mod context;
mod dashboards;
mod docs;
mod edges;
mod errors;
mod examples;
mod exporters;
mod full_disk;
mod logs;
mod matrix;
mod outage;
mod redaction;
mod sampling;
mod self_telemetry;
mod services_file;
mod shutdown;
mod stores;
mod terminal;
mod tls;
mod ui;

use std::process::ExitCode;

use sightline_tests::suite::Suite;

fn main() -> anyhow::Result<ExitCode> {
    let mut suite = Suite::new()?;
    // The slowest tests start first. The other tests run in parallel with them.
    outage::add(&mut suite);
    stores::add(&mut suite);
    full_disk::add(&mut suite);
    alerts::add(&mut suite);
    dashboards::add(&mut suite);
    certificates::add(&mut suite);
    sampling::add(&mut suite);
    self_telemetry::add(&mut suite);
    services_file::add(&mut suite);
    additions::add(&mut suite);
    matrix::add(&mut suite);
    edges::add(&mut suite);
    context::add(&mut suite);
    docs::add(&mut suite);
    logs::add(&mut suite);
    errors::add(&mut suite);
    redaction::add(&mut suite);
    tls::add(&mut suite);
    exporters::add(&mut suite);
    shutdown::add(&mut suite);
    terminal::add(&mut suite);
    ui::add(&mut suite);
    suite.add_examples(examples::add)?;
    Ok(suite.run())
}
