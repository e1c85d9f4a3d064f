//! The arguments of `sightline up`, and the stack configuration that they select.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sightline::stack::{Binaries, StackConfig, StackSpec, Storage};
use url::Url;

use crate::commands::services_file;

/// Run the backend, the gateway, the agent and the services of sightline.toml on this machine
///
/// The backend is Jaeger with a store for metrics and a store for logs. Sends three requests to the example services,
/// shows their traces and prints the addresses of the stack. Ctrl-C stops everything.
///
///
/// Each port can be changed with an environment variable: see below. If a port is in use, nothing is started, and the
/// error names the port and its variable.
///
/// Exits with 0 after a clean stop, 1 if a process failed, 2 if the stack could not be started, and 130 after a second
/// Ctrl-C. With --demo, also exits with 1 if a trace is incomplete.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ports_help())]
pub(crate) struct Args {
    /// Stop after the traces are shown. Exit with 0 only if all traces are complete and no telemetry was lost. Without
    /// the example services, no requests are sent, and everything stops after it was healthy
    #[arg(long)]
    pub(super) demo: bool,
    /// Services file to read instead of sightline.toml in the checkout. Its Cargo packages are programs of the workspace
    /// that contains the file, built with `cargo build --release`
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Run only the pipeline, and print the environment variables for a service that is started by hand
    #[arg(long, value_enum, conflicts_with = "demo")]
    only: Option<Only>,
    /// Name of the service that is started by hand. If the services file describes it, its variables are printed too
    #[arg(long, value_name = "NAME", default_value = "local", requires = "only")]
    service: String,
    /// State directory for certificates, the agent's queue, traces, databases and logs
    #[arg(long, default_value = ".sightline")]
    dir: PathBuf,
    /// Where Jaeger stores traces
    #[arg(long, value_enum, env = "SIGHTLINE_STORAGE", default_value = "badger")]
    storage: Storage,
    /// Percentage of ordinary traces that the gateway keeps. The gateway always keeps failed and slow traces
    #[arg(long, default_value_t = 100, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    sampling: u8,
    /// Evaluate the alerts in deploy/alerts, and show them in the UI of the metrics store
    #[arg(long, env = "SIGHTLINE_ALERTS", value_parser = parse_switch)]
    alerts: bool,
    /// File with rules to evaluate in addition to those in deploy/alerts. Can be repeated
    #[arg(long, value_name = "FILE", requires = "alerts")]
    rules: Vec<PathBuf>,
    /// URL of an Alertmanager that gets the alerts
    #[arg(long, value_name = "URL", requires = "alerts", value_parser = parse_notifier)]
    notifier: Option<Url>,
    /// Use free ports instead of the standard ones
    #[arg(long)]
    free_ports: bool,
    /// Environment variable for all services, such as `RUST_LOG=debug`. Overrides the value that `up` sets. Can be
    /// repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    environment: Vec<(String, String)>,
    /// Collector program to run instead of bin/otelcol
    #[arg(long, env = "OTELCOL", value_name = "FILE")]
    otelcol: Option<PathBuf>,
    /// Jaeger program to run instead of bin/jaeger
    #[arg(long, env = "JAEGER", value_name = "FILE")]
    jaeger: Option<PathBuf>,
    /// Program of the metrics store to run instead of bin/victoria-metrics
    #[arg(long, env = "VICTORIA_METRICS", value_name = "FILE")]
    victoria_metrics: Option<PathBuf>,
    /// Program of the log store to run instead of bin/victoria-logs
    #[arg(long, env = "VICTORIA_LOGS", value_name = "FILE")]
    victoria_logs: Option<PathBuf>,
    /// Proxy of the pages to run instead of bin/vmauth
    #[arg(long, env = "VMAUTH", value_name = "FILE")]
    vmauth: Option<PathBuf>,
    /// Program that evaluates alerts to run instead of bin/vmalert
    #[arg(long, env = "VMALERT", value_name = "FILE")]
    vmalert: Option<PathBuf>,
    /// Directory with the Jaeger UI to serve instead of bin/jaeger-ui, or `embedded` for the UI that is compiled into
    /// the Jaeger program
    #[arg(long, env = "JAEGER_UI", value_name = "DIR")]
    jaeger_ui: Option<OsString>,
    /// Directory of the programs of the services' Cargo packages [default: the directory of sightline, or with --file
    /// the directory in which Cargo builds them]
    #[arg(long, value_name = "DIR")]
    services: Option<PathBuf>,
}

/// The part of the stack to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Only {
    /// The backend, the gateway and the agent
    Pipeline,
}

impl Args {
    /// Returns the service that is started by hand, or `None` without `--only`.
    pub(super) fn manual_service(&self) -> Option<String> {
        self.only.map(|Only::Pipeline| self.service.clone())
    }

    pub(super) fn stack_config(self) -> anyhow::Result<StackConfig> {
        let sightline = std::env::current_exe().context("cannot find the path of this program")?;
        let root = services_file::checkout().context(
            "neither the working directory nor this program is in a checkout of Sightline, which contains the \
             configuration of the pipeline: run this command in a checkout",
        )?;
        let mut spec = services_file::load(self.file.as_deref())?;
        let manual = self.manual_service();
        // The programs of packages are not needed if no service is started.
        if self.file.is_some() && self.services.is_none() && manual.is_none() {
            spec.resolve_packages()?;
        }
        if let Some(name) = &manual {
            spec.add_manual(name)?;
        }
        let services = match self.services {
            Some(services) => services,
            None => Binaries::directory().context("cannot find the path of this program")?,
        };

        let mut config = StackConfig::new(spec, &root, self.dir, &services);
        if manual.is_some() {
            let pipeline = config.spec.pipeline().filter(|process| !process.optional);
            config.processes = pipeline.map(|process| process.name.clone()).collect();
        }
        if self.alerts {
            config = config.with_alerts();
            config.rules =
                self.rules.iter().map(|file| absolute_file(file)).collect::<anyhow::Result<_>>()?;
            config.notifier = self.notifier;
        }
        config.binaries.sightline = Some(sightline);
        // An empty environment variable counts as unset.
        let non_empty = |path: &PathBuf| !path.as_os_str().is_empty();
        let programs = [
            ("otelcol", self.otelcol),
            ("jaeger", self.jaeger),
            ("victoria-metrics", self.victoria_metrics),
            ("victoria-logs", self.victoria_logs),
            ("vmauth", self.vmauth),
            ("vmalert", self.vmalert),
        ];
        for (name, path) in programs {
            if let Some(path) = path.filter(non_empty) {
                config.binaries.tools.insert(name.to_owned(), path);
            }
        }
        if let Some(ui) = self.jaeger_ui.filter(|value| !value.is_empty()) {
            config.jaeger_ui = ui.into();
        }
        config.ports = if self.free_ports {
            config.ports.free()
        } else {
            config.ports.with_env(|name| std::env::var(name).ok())
        }?;
        config.storage = self.storage;
        config.sampling_percentage = self.sampling;
        let services: Vec<_> = config.spec.services().map(|service| service.name.clone()).collect();
        for service in services {
            for (name, value) in &self.environment {
                config = config.with(&service, name, value);
            }
        }
        Ok(config)
    }
}

/// Returns the last section of the help, which lists the environment variables of the ports.
fn ports_help() -> String {
    let mut text = String::from("Environment variables of the pipeline's ports, with their defaults:");
    // The description of the pipeline is part of this program, and a test parses it.
    let ports = StackSpec::pipeline_only().map(|spec| spec.ports());
    for port in ports.iter().flat_map(sightline::stack::Ports::all) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {:<35} {:>5}  {}", port.variable, port.number, port.description);
    }
    text.push_str(
        "\n\nThe ports of the services have variables such as SIGHTLINE_ORDER_HTTP_PORT and \
         SIGHTLINE_ORDER_ADMIN_PORT for order-service. `sightline services --format ports` lists them.",
    );
    text
}

/// Reads a switch that can also be an environment variable. An empty variable counts as unset.
fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "" => Ok(false),
        text => text.parse().map_err(|_| "use true or false".to_owned()),
    }
}

fn parse_notifier(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}: use the form http://127.0.0.1:9093"))?;
    if ["http", "https"].contains(&url.scheme()) && url.has_host() {
        Ok(url)
    } else {
        Err("use a URL that begins with http:// or https://, such as http://127.0.0.1:9093".to_owned())
    }
}

/// Returns the absolute path of a file with rules, because processes do not run in the working directory.
fn absolute_file(file: &Path) -> anyhow::Result<PathBuf> {
    let path = file
        .canonicalize()
        .with_context(|| format!("the file with rules {} cannot be used", file.display()))?;
    // vmalert would read it as a list or as a pattern of names.
    if path.to_string_lossy().contains([',', '*', '?', '[', '{', '"', '\'', '`']) {
        anyhow::bail!(
            "the path {} of a file with rules contains a character with a meaning for vmalert: rename it",
            path.display()
        );
    }
    Ok(path)
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} does not have the form NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const PIPELINE: [&str; 6] = ["victoria-metrics", "victoria-logs", "jaeger", "vmauth", "gateway", "agent"];

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn config(arguments: &[&str]) -> anyhow::Result<StackConfig> {
        let arguments = ["up"].iter().chain(arguments);
        Command::try_parse_from(arguments)?.args.stack_config()
    }

    fn names(config: &StackConfig) -> Vec<&str> {
        config.processes.iter().map(sightline::stack::Process::name).collect()
    }

    #[test]
    fn runs_the_pipeline_and_the_services_of_the_checkout() {
        let config = config(&[]).unwrap();
        assert_eq!(names(&config)[..PIPELINE.len()], PIPELINE);
        assert!(!config.evaluates_alerts());
        assert_eq!(config.processes.len(), PIPELINE.len() + config.spec.services().count());
    }

    #[test]
    fn only_the_pipeline_runs_for_a_service_that_is_started_by_hand() {
        let pipeline_only = config(&["--only", "pipeline"]).unwrap();
        assert_eq!(names(&pipeline_only), PIPELINE);
        assert!(pipeline_only.spec.get("local").is_some());
        let error = config(&["--only", "pipeline", "--service", "agent"]).unwrap_err().to_string();
        assert!(error.contains("a process of the pipeline has this name"), "{error}");
        config(&["--service", "shop"]).unwrap_err();
    }

    #[test]
    fn alerts_are_evaluated_on_request() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("own.yaml");
        std::fs::write(&file, "groups: []").unwrap();
        let path = file.to_str().unwrap();
        let with_rules = ["--alerts", "--rules", path, "--notifier", "http://127.0.0.1:9093"];
        let on = config(&with_rules).unwrap();
        assert!(on.evaluates_alerts());
        assert_eq!(on.rules, [file.canonicalize().unwrap()]);
        assert_eq!(on.notifier.unwrap().as_str(), "http://127.0.0.1:9093/");
        let pipeline_only = config(&["--alerts", "--only", "pipeline"]).unwrap();
        assert_eq!(names(&pipeline_only), [&PIPELINE[..], &["vmalert"]].concat());

        // A notifier without alerts would hear nothing.
        for bad in [&with_rules[1..3], &with_rules[3..], &["--alerts", "--notifier", "127.0.0.1:9093"]] {
            config(bad).unwrap_err();
        }
        let error = config(&["--alerts", "--rules", "missing.yaml"]).unwrap_err();
        assert!(format!("{error:#}").contains("missing.yaml cannot be used: No such file"), "{error:#}");
        let comma = dir.path().join("a,b.yaml");
        std::fs::write(&comma, "groups: []").unwrap();
        let error = config(&["--alerts", "--rules", comma.to_str().unwrap()]).unwrap_err().to_string();
        assert!(error.contains("a,b.yaml"), "{error}");
    }

    #[test]
    fn the_switch_is_true_or_false() {
        assert_eq!(["", "true", "false"].map(parse_switch), [Ok(false), Ok(true), Ok(false)]);
        parse_switch("1").unwrap_err();
    }

    #[test]
    fn another_file_replaces_the_services() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("other.toml");
        std::fs::write(&file, "[services.shop]\nprogram = \"bin/shop\"\nprotocol = \"worker\"\n").unwrap();
        let config = config(&["--file", file.to_str().unwrap(), "--env", "A=b"]).unwrap();
        assert_eq!(names(&config), [&PIPELINE[..], &["shop"]].concat());
        assert_eq!(config.environment["shop"]["A"], "b");
        let shop = config.binaries.path(config.spec.get("shop").unwrap());
        assert_eq!(shop, Some(dir.path().join("bin/shop")));
    }

    #[test]
    fn rejects_variables_without_a_name() {
        assert_eq!(parse_variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        parse_variable("A").unwrap_err();
        parse_variable("=b").unwrap_err();
    }
}
