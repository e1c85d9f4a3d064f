//! `sightline`: the operator's program.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sightline::{output, stack};

/// Run the stack on this machine and look at what it records
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(commands::up::Args),
    Certs(commands::certs::Args),
    Check(commands::check::Args),
    Trace(commands::trace::Args),
    Traces(commands::traces::Args),
    #[command(name = stack::lifeline::COMMAND, hide = true)]
    WithParent(commands::with_parent::Args),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Up(args) => commands::up::run(args),
        Command::Certs(args) => commands::certs::run(args).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => commands::check::run(args),
        Command::Trace(args) => commands::trace::run(args),
        Command::Traces(args) => commands::traces::run(args),
        Command::WithParent(args) => Err(commands::with_parent::run(&args)),
    };
    result.unwrap_or_else(|error| {
        output::note(format_args!("sightline: {error:#}"));
        ExitCode::from(2)
    })
}
