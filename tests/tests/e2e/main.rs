//! The whole stack at work, asked from outside.

mod matrix;

use std::process::ExitCode;

use sightline_tests::suite::Suite;

fn main() -> anyhow::Result<ExitCode> {
    let mut suite = Suite::new()?;
    matrix::add(&mut suite);
    Ok(suite.run())
}
