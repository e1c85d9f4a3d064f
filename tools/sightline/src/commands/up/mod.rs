//! `sightline up`, behind `make up` and `make demo`.

mod addresses;
mod config;
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

/// A trace is complete after the services' delay, the gateway's wait and a moment of Jaeger's: four seconds. More is
/// a machine under load.
const TRACE_WITHIN: Duration = Duration::from_mins(1);

/// How often certificates are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_hours(1);

/// Runs the stack. The exit code is 0 when all went well, traces and stop included.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(up(args, began))
}

async fn up(args: Args, began: Instant) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("cannot wait for Ctrl-C")?;
    let is_demo = args.demo;
    let mut stack = Stack::spawn(args.stack_config()?)?;
    announce(&stack);

    let outcome = tokio::select! {
        outcome = live(&mut stack, is_demo, began) => outcome,
        signal = signals.next() => {
            output::line(format_args!("\n{signal}: stopping. Once more stops without waiting."));
            Ok(())
        }
    };
    if let Err(error) = &outcome {
        output::note(format_args!("\nsightline: {error:#}\n\nStopping the rest."));
    }

    let stopping = Instant::now();
    let exits = tokio::select! {
        exits = stack.stop() => exits,
        signal = signals.next() => {
            output::note(format_args!("{signal} again: killed. What was on its way may be lost."));
            return Ok(ExitCode::from(130));
        }
    };
    let clean = report(&exits, stopping.elapsed());
    Ok(if outcome.is_ok() && clean { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// From the start of the processes to the request to stop, or to the end of the demonstration.
async fn live(stack: &mut Stack, is_demo: bool, began: Instant) -> anyhow::Result<()> {
    stack.ready(healthy).await?;
    let shown = tokio::select! {
        shown = show_traces(stack, began) => shown,
        died = stack.died() => return Err(died.into()),
    };
    if is_demo {
        return shown.map_err(Into::into);
    }
    if let Err(error) = shown {
        // The stack runs; whoever looks for the fault needs it running.
        output::note(format_args!(
            "\nsightline: {:#}\nIt stays up for you to look: docs/troubleshoot.md goes through it hop by hop.",
            anyhow::Error::new(error)
        ));
    }
    output::line("");
    output::line(addresses::table(stack).await);
    output::line("\nCtrl-C stops everything.");
    stay(stack).await
}

fn announce(stack: &Stack) {
    output::line(format_args!(
        "Sightline starts on this machine; its state is in {}\n",
        stack.dir().display()
    ));
    let report = stack.certificates();
    let made = std::iter::once(&report.authority)
        .chain(&report.identities)
        .filter(|entry| entry.outcome != Outcome::Kept)
        .count();
    output::line(match made {
        0 => "  certificates        kept".to_owned(),
        n => format!("  certificates        {n} made"),
    });
}

fn healthy(progress: Progress) {
    match progress {
        Progress::Healthy(process, after) => {
            output::line(format_args!("  {process:<19} healthy {:>5.1} s", after.as_secs_f64()));
        }
        Progress::Waiting(processes, after) => {
            let names: Vec<_> = processes.into_iter().map(Process::name).collect();
            output::note(format_args!("  … {:.0} s, waiting for {}", after.as_secs_f64(), names.join(", ")));
        }
    }
}

/// Sends the three requests, then shows each trace when it is complete.
async fn show_traces(stack: &Stack, began: Instant) -> Result<(), DemoError> {
    let mut all_sent = Vec::new();
    for demo in Demo::ALL {
        all_sent.push(demo::send(stack, demo).await?);
    }
    output::line("\nThree requests are sent. Their traces come through agent and gateway to Jaeger …");
    let jaeger = stack.jaeger()?;
    for (index, sent) in all_sent.iter().enumerate() {
        let trace = demo::complete(&jaeger, sent, TRACE_WITHIN, |waited| {
            output::note(format_args!(
                "  … {:.0} s, waiting for trace {}",
                waited.as_secs_f64(),
                sent.trace_id
            ));
        })
        .await?;
        if index == 0 {
            let seconds = began.elapsed().as_secs_f64();
            output::line(format_args!("The first trace is complete {seconds:.1} s after the start."));
        }
        let options = Options {
            width: output::width().min(120),
            colour: output::colour(),
            caller: Some(&sent.caller),
            ..Options::default()
        };
        output::line(headline(sent));
        output::block(&waterfall::render(&trace, &options));
    }
    output::line(format_args!("\nRead back from Jaeger at {}.", jaeger.address()));
    Ok(())
}

fn headline(sent: &Sent) -> String {
    format!("\n── {}: {} → {}\n", sent.demo.title(), sent.request, sent.status)
}

/// Waits for a process that dies, and keeps certificates fresh meanwhile.
async fn stay(stack: &mut Stack) -> anyhow::Result<()> {
    loop {
        let left = stack.certificates().renew_at() - OffsetDateTime::now_utc();
        let left = Duration::try_from(left).unwrap_or_default();
        // Never later than an hour on: a laptop that slept has a clock that jumped.
        let wait = left.clamp(Duration::from_mins(1), CERTIFICATES_EVERY);
        tokio::select! {
            died = stack.died() => return Err(died.into()),
            () = tokio::time::sleep(wait) => {}
        }
        match stack.renew_certificates() {
            Ok(report) => {
                for entry in report.identities.iter().filter(|entry| entry.outcome != Outcome::Kept) {
                    output::line(format_args!("renewed the certificate of {}", entry.name));
                }
            }
            Err(error) => {
                output::note(format_args!("sightline: {:#}", anyhow::Error::new(error)));
            }
        }
    }
}

/// Says how each process ended; whether all did as they should.
fn report(exits: &[Exit], took: Duration) -> bool {
    for exit in exits.iter().filter(|exit| !exit.is_clean()) {
        output::note(format_args!("  {:<19} {}", exit.process, exit.describe()));
    }
    let clean = exits.iter().all(Exit::is_clean);
    if clean {
        output::line(format_args!("Stopped in {:.1} s; nothing was lost.", took.as_secs_f64()));
    } else {
        output::note(format_args!(
            "Stopped in {:.1} s, but not all as they should: the logs say what was lost.",
            took.as_secs_f64()
        ));
    }
    clean
}
