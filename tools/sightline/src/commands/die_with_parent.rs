//! The hidden command that starts each process of the stack: see [`sightline::stack::parent_death`].

use std::ffi::OsString;

use sightline::stack::parent_death;

/// Run a program that gets SIGTERM when its parent process dies
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Process id of the parent
    pid: u32,
    /// The program to run
    program: OsString,
    /// Arguments of the program
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Replaces this process with the program. Returns only if the replacement fails.
pub(crate) fn run(args: &Args) -> anyhow::Error {
    let error = parent_death::exec(args.pid, &args.program, &args.arguments);
    anyhow::Error::new(error).context(format!("cannot run {}", args.program.display()))
}
