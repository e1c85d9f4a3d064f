//! The `sightline` program: runs the stack on one machine, creates its certificates and shows its telemetry.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sightline::{output, stack};

/// Run the Sightline stack on this machine, check it and show its traces, logs and metrics
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // This command has many more arguments than the others.
    Up(Box<commands::up::Args>),
    Services(commands::services::Args),
    NewService(commands::new_service::Args),
    RemoveExamples(commands::remove_examples::Args),
    Certs(commands::certs::Args),
    Check(commands::check::Args),
    Trace(commands::trace::Args),
    Traces(commands::traces::Args),
    Logs(commands::logs::Args),
    Metrics(commands::metrics::Args),
    #[command(name = stack::parent_death::COMMAND, hide = true)]
    DieWithParent(commands::die_with_parent::Args),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Up(args) => commands::up::run(*args),
        Command::Services(args) => commands::services::run(&args).map(|()| ExitCode::SUCCESS),
        Command::NewService(args) => commands::new_service::run(args).map(|()| ExitCode::SUCCESS),
        Command::RemoveExamples(args) => commands::remove_examples::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Certs(args) => commands::certs::run(args).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => commands::check::run(args),
        Command::Trace(args) => commands::trace::run(args),
        Command::Traces(args) => commands::traces::run(args),
        Command::Logs(args) => commands::logs::run(args),
        Command::Metrics(args) => commands::metrics::run(args),
        Command::DieWithParent(args) => Err(commands::die_with_parent::run(&args)),
    };
    result.unwrap_or_else(|error| {
        output::eprintln(format_args!("sightline: {error:#}"));
        ExitCode::from(2)
    })
}
