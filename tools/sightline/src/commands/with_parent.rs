//! The hidden command that starts a child of `sightline up`: see `sightline::stack::lifeline`.

use std::ffi::OsString;

use sightline::stack::lifeline;

/// Become a program that ends with the process of this id
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The parent
    pid: u32,
    /// The program
    program: OsString,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Returns only when that fails, with the reason.
pub(crate) fn run(args: &Args) -> anyhow::Error {
    let error = lifeline::become_child(args.pid, &args.program, &args.arguments);
    anyhow::Error::new(error).context(format!("cannot run {}", args.program.display()))
}
