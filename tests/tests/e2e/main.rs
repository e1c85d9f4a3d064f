//! The whole stack at work, asked from outside.

mod context;
mod edges;
mod logs;
mod matrix;

use std::process::ExitCode;

use sightline_tests::suite::Suite;

fn main() -> anyhow::Result<ExitCode> {
    let mut suite = Suite::new()?;
    matrix::add(&mut suite);
    edges::add(&mut suite);
    context::add(&mut suite);
    logs::add(&mut suite);
    Ok(suite.run())
}
