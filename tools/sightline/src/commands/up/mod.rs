//! `sightline up`: runs the whole stack. `make up` and `make demo` call it.

mod addresses;
mod config;
mod exports;
mod signals;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sightline::certs::Outcome;
use sightline::demo::{self, Demo, DemoError, Sent};
use sightline::output;
use sightline::stack::{Exit, Process, Progress, Stack};
use sightline::waterfall::{self, Options};
use time::OffsetDateTime;

pub(crate) use self::config::Args;
use self::signals::Signals;

/// The maximum time to wait for a complete trace. A trace is normally complete after four seconds. This time
/// consists of the services' export delay, the gateway's decision wait, and the write to Jaeger's store. On a machine
/// under load, it is longer.
const TRACE_TIMEOUT: Duration = Duration::from_mins(1);

/// The maximum time between two checks of the certificates.
const CERTIFICATE_CHECK_INTERVAL: Duration = Duration::from_hours(1);

/// Runs the stack until a signal arrives, a process fails or, with `--demo`, the traces are shown.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start the async runtime")?.block_on(up(args, started))
}

async fn up(args: Args, started: Instant) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let (is_demo, manual) = (args.demo, args.manual_service());
    let config = args.stack_config()?;
    let purpose = match manual {
        Some(service) => Purpose::Service(service),
        None if is_demo => Purpose::Demo,
        None => Purpose::Run,
    };
    let mut stack = Stack::spawn(config)?;
    announce(&stack);

    let outcome = tokio::select! {
        outcome = run_stack(&mut stack, &purpose, started) => outcome,
        signal = signals.next() => {
            output::println(format_args!("\n{signal}: stopping all processes. Repeat it to kill them immediately."));
            Ok(())
        }
    };
    if let Err(error) = &outcome {
        output::eprintln(format_args!("\nsightline: {error:#}\n\nStopping the other processes."));
    }

    let stopping = Instant::now();
    let exits = tokio::select! {
        exits = stack.stop() => exits,
        signal = signals.next() => {
            output::eprintln(format_args!(
                "{signal}: killing all processes. Telemetry that is not stored may be lost."
            ));
            return Ok(ExitCode::from(130));
        }
    };
    let clean = report_exits(&exits, stopping.elapsed());
    Ok(if outcome.is_ok() && clean { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Why the stack runs.
#[derive(Debug)]
enum Purpose {
    /// To show the traces of the demo.
    Demo,
    /// To show the traces of the demo, and to run until a signal arrives.
    Run,
    /// To receive the telemetry of this service, which is started by hand.
    Service(String),
}

/// Waits until the stack is healthy, then does what it runs for. Except for a demo, then keeps the stack running until a
/// process exits.
async fn run_stack(stack: &mut Stack, purpose: &Purpose, started: Instant) -> anyhow::Result<()> {
    stack.wait_until_ready(print_progress).await?;
    let missing = demo::missing_services(stack.config());
    match purpose {
        Purpose::Demo | Purpose::Run if !missing.is_empty() => {
            output::println(format_args!(
                "\nNo requests were sent: they are for the example services, and there is no {} here.",
                missing.join(", ")
            ));
            if matches!(purpose, Purpose::Demo) {
                return Ok(());
            }
        }
        Purpose::Demo => return run_demo(stack, started).await?.map_err(Into::into),
        Purpose::Run => {
            if let Err(error) = run_demo(stack, started).await? {
                // Keep the stack running, because its metrics and logs help to find the cause of the error.
                output::eprintln(format_args!(
                    "\nsightline: {:#}\nThe stack keeps running. docs/troubleshoot.md describes how to check each hop.",
                    anyhow::Error::new(error)
                ));
            }
        }
        Purpose::Service(service) => {
            output::println("");
            output::println(exports::describe(stack, service)?);
        }
    }
    output::println("");
    output::println(addresses::describe(stack)?);
    output::println("\nPress Ctrl-C to stop everything.");
    keep_running(stack).await
}

/// Shows the traces of the demo. The outer error is that a process has exited.
async fn run_demo(stack: &Stack, started: Instant) -> anyhow::Result<Result<(), DemoError>> {
    tokio::select! {
        shown = show_traces(stack, started) => Ok(shown),
        error = stack.wait_for_exit() => Err(error.into()),
    }
}

fn announce(stack: &Stack) {
    output::println(format_args!(
        "Starting Sightline on this machine, with its state in {}\n",
        stack.dir().display()
    ));
    let report = stack.certificates();
    let changed = std::iter::once(&report.ca)
        .chain(&report.identities)
        .filter(|entry| entry.outcome != Outcome::Kept)
        .count();
    output::println(match changed {
        0 => "  certificates        kept".to_owned(),
        n => format!("  certificates        {n} created or renewed"),
    });
}

fn print_progress(progress: Progress) {
    match progress {
        Progress::Healthy(process, after) => {
            output::println(format_args!("  {process:<19} healthy {:>5.1} s", after.as_secs_f64()));
        }
        Progress::Waiting(processes, after) => {
            let names: Vec<_> = processes.iter().map(Process::name).collect();
            output::eprintln(format_args!(
                "  … {:.0} s, waiting for {}",
                after.as_secs_f64(),
                names.join(", ")
            ));
        }
    }
}

/// Sends the three requests, then shows each trace when it is complete in Jaeger.
async fn show_traces(stack: &Stack, started: Instant) -> Result<(), DemoError> {
    let mut all_sent = Vec::new();
    for demo in Demo::ALL {
        all_sent.push(demo::send(stack, demo).await?);
    }
    output::println(
        "\nSent three requests. Waiting for their traces to arrive in Jaeger through the agent and the gateway …",
    );
    let jaeger = stack.jaeger()?;
    for (index, sent) in all_sent.iter().enumerate() {
        let trace = demo::wait_until_complete(&jaeger, sent, TRACE_TIMEOUT, |waited| {
            output::eprintln(format_args!(
                "  … {:.0} s, waiting for trace {}",
                waited.as_secs_f64(),
                sent.trace_id
            ));
        })
        .await?;
        if index == 0 {
            let seconds = started.elapsed().as_secs_f64();
            output::println(format_args!("The first trace was complete {seconds:.1} s after the start."));
        }
        let options = Options {
            width: output::terminal_width().min(120),
            colour: output::use_colour(),
            caller: sent.caller.as_deref(),
            ..Options::default()
        };
        output::println(headline(sent));
        output::print(&waterfall::render(&trace, &options));
    }
    output::println(format_args!("\nRead from Jaeger at {}.", jaeger.address()));
    Ok(())
}

fn headline(sent: &Sent) -> String {
    format!("\n── {}: {} → {}\n", sent.demo.title(), sent.request, sent.status)
}

/// Renews certificates when necessary, until a process exits.
async fn keep_running(stack: &mut Stack) -> anyhow::Result<()> {
    loop {
        let until_renewal = stack.certificates().renew_at() - OffsetDateTime::now_utc();
        let until_renewal = Duration::try_from(until_renewal).unwrap_or_default();
        // Timers do not advance while a laptop is suspended, so a long wait could end too late for the renewal. The
        // wait therefore has an upper limit.
        let wait = until_renewal.clamp(Duration::from_mins(1), CERTIFICATE_CHECK_INTERVAL);
        tokio::select! {
            error = stack.wait_for_exit() => return Err(error.into()),
            () = tokio::time::sleep(wait) => {}
        }
        match stack.renew_certificates() {
            Ok(report) => {
                for entry in report.identities.iter().filter(|entry| entry.outcome != Outcome::Kept) {
                    output::println(format_args!("Renewed the certificate of {}.", entry.name));
                }
            }
            Err(error) => {
                output::eprintln(format_args!("sightline: {:#}", anyhow::Error::new(error)));
            }
        }
    }
}

/// Prints each process that did not stop cleanly. Returns whether all processes stopped cleanly.
fn report_exits(exits: &[Exit], took: Duration) -> bool {
    for exit in exits.iter().filter(|exit| !exit.is_clean()) {
        output::eprintln(format_args!("  {:<19} {}", exit.process, exit.describe()));
    }
    let clean = exits.iter().all(Exit::is_clean);
    if clean {
        output::println(format_args!("Stopped in {:.1} s; nothing was lost.", took.as_secs_f64()));
    } else {
        output::eprintln(format_args!(
            "Stopped in {:.1} s, but not every process stopped cleanly. The logs say what was lost.",
            took.as_secs_f64()
        ));
    }
    clean
}
