//! The arguments of `sightline up`, and the stack configuration that they select.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sightline::stack::{Binaries, Ports, Process, StackConfig, Storage};

/// Run Jaeger, the gateway, the agent and the three services on this machine
///
/// Sends three requests, shows their traces and prints the addresses of the stack. Ctrl-C stops everything.
///
/// Each port can be changed with an environment variable: see below. If a port is in use, nothing is started, and the
/// error names the port and its variable.
///
/// Exits with 0 after a clean stop, 1 if a process failed, 2 if the stack could not be started, and 130 after a second
/// Ctrl-C. With --demo, also exits with 1 if a trace is incomplete.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ports_help())]
pub(crate) struct Args {
    /// Stop after the traces are shown. Exit with 0 only if all traces are complete and no telemetry was lost
    #[arg(long)]
    pub(super) demo: bool,
    /// State directory for certificates, the agent's queue, traces, databases and logs
    #[arg(long, default_value = ".sightline")]
    dir: PathBuf,
    /// Where Jaeger stores traces
    #[arg(long, value_enum, env = "SIGHTLINE_STORAGE", default_value = "badger")]
    storage: Storage,
    /// Percentage of ordinary traces that the gateway keeps. The gateway always keeps failed and slow traces
    #[arg(long, default_value_t = 100, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    sampling: u8,
    /// Use free ports instead of the standard ones
    #[arg(long)]
    free_ports: bool,
    /// Environment variable for the three services, such as `RUST_LOG=debug`. Overrides the value that `up` sets. Can
    /// be repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    environment: Vec<(String, String)>,
    /// Collector program to run instead of bin/otelcol
    #[arg(long, env = "OTELCOL", value_name = "FILE")]
    otelcol: Option<PathBuf>,
    /// Jaeger program to run instead of bin/jaeger
    #[arg(long, env = "JAEGER", value_name = "FILE")]
    jaeger: Option<PathBuf>,
    /// Directory of the service programs [default: the directory of sightline]
    #[arg(long, value_name = "DIR")]
    services: Option<PathBuf>,
}

impl Args {
    pub(super) fn stack_config(self) -> anyhow::Result<StackConfig> {
        let sightline = std::env::current_exe().context("cannot find the path of this program")?;
        let services = match self.services {
            Some(services) => services,
            None => Binaries::directory().context("cannot find the path of this program")?,
        };
        let working_directory = std::env::current_dir().context("cannot find the working directory")?;
        let root = find_checkout(&working_directory).context(
            "the working directory is not in a checkout of Sightline: run this command in a checkout",
        )?;

        let mut config = StackConfig::for_checkout(root, self.dir, &services);
        config.binaries.sightline = Some(sightline);
        // An empty environment variable counts as unset.
        let non_empty = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
        if let Some(otelcol) = non_empty(self.otelcol) {
            config.binaries.otelcol = otelcol;
        }
        if let Some(jaeger) = non_empty(self.jaeger) {
            config.binaries.jaeger = jaeger;
        }
        config.ports =
            if self.free_ports { Ports::free() } else { Ports::from_env(|name| std::env::var(name).ok()) }?;
        config.storage = self.storage;
        config.sampling_percentage = self.sampling;
        for process in Process::SERVICES {
            for (name, value) in &self.environment {
                config = config.with(process, name, value);
            }
        }
        Ok(config)
    }
}

/// Returns the last section of the help, which lists the environment variables of the ports.
fn ports_help() -> String {
    let mut text = String::from("Environment variables of the ports, with their defaults:");
    for port in Ports::standard().all() {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {:<35} {:>5}  {}", port.variable, port.number, port.description);
    }
    text
}

/// Finds the root of the checkout that contains this directory. The root is the directory in which
/// `collector-config/agent.yaml` exists.
fn find_checkout(dir: &Path) -> Option<&Path> {
    dir.ancestors().find(|root| root.join("collector-config/agent.yaml").is_file())
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} does not have the form NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_checkout_from_a_subdirectory() {
        let dir = tempfile::tempdir().unwrap();
        let subdirectory = dir.path().join("tools/sightline");
        std::fs::create_dir_all(&subdirectory).unwrap();
        assert_eq!(find_checkout(&subdirectory), None);
        std::fs::create_dir(dir.path().join("collector-config")).unwrap();
        std::fs::write(dir.path().join("collector-config/agent.yaml"), "").unwrap();
        assert_eq!(find_checkout(&subdirectory), Some(dir.path()));
    }

    #[test]
    fn rejects_variables_without_a_name() {
        assert_eq!(parse_variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        parse_variable("A").unwrap_err();
        parse_variable("=b").unwrap_err();
    }
}
