//! From arguments to the stack's configuration.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sightline::stack::{Binaries, Ports, Process, StackConfig, Storage};

/// Run Jaeger, gateway, agent and the three services here, send requests, show their traces
///
/// Each port has a variable that changes it; a port in use is named with its variable before anything starts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Exit by itself: 0 when all traces were complete and nothing was lost
    #[arg(long)]
    pub(super) demo: bool,
    /// Directory of the state: certificates, queue, traces, databases, logs
    #[arg(long, default_value = ".sightline")]
    dir: PathBuf,
    /// Where Jaeger keeps traces
    #[arg(long, value_enum, env = "SIGHTLINE_STORAGE", default_value = "badger")]
    storage: Storage,
    /// Percent of the ordinary traces that the gateway keeps; failed and slow ones it always keeps
    #[arg(long, default_value_t = 100, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    sampling: u8,
    /// Take free ports instead of the usual ones
    #[arg(long)]
    free_ports: bool,
    /// A variable for the three services, such as `RUST_LOG=debug`; wins over what they are given otherwise
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    environment: Vec<(String, String)>,
    /// The Collector to run instead of bin/otelcol
    #[arg(long, env = "OTELCOL", value_name = "FILE")]
    otelcol: Option<PathBuf>,
    /// The Jaeger to run instead of bin/jaeger
    #[arg(long, env = "JAEGER", value_name = "FILE")]
    jaeger: Option<PathBuf>,
    /// Directory of the services' programs [default: where sightline is]
    #[arg(long, value_name = "DIR")]
    services: Option<PathBuf>,
}

impl Args {
    pub(super) fn stack_config(self) -> anyhow::Result<StackConfig> {
        let sightline = std::env::current_exe().context("cannot find my own program")?;
        let services = match self.services {
            Some(services) => services,
            None => Binaries::directory().context("cannot find my own program")?,
        };
        let here = std::env::current_dir().context("cannot find the working directory")?;
        let root = checkout(&here)
            .context("no checkout of Sightline here: run it inside of one, or use `make up`")?;

        let mut config = StackConfig::of_checkout(root, self.dir, &services);
        config.binaries.sightline = Some(sightline);
        // An empty variable counts as unset.
        let given = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
        if let Some(otelcol) = given(self.otelcol) {
            config.binaries.otelcol = otelcol;
        }
        if let Some(jaeger) = given(self.jaeger) {
            config.binaries.jaeger = jaeger;
        }
        config.ports = if self.free_ports {
            Ports::free()
        } else {
            Ports::from_variables(|name| std::env::var(name).ok())
        }?;
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

/// The checkout that this directory is in, by what makes it one.
fn checkout(here: &Path) -> Option<&Path> {
    here.ancestors().find(|dir| dir.join("collector-config/agent.yaml").is_file())
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is no NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_found_from_below() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("tools/sightline");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(checkout(&deep), None);
        std::fs::create_dir(dir.path().join("collector-config")).unwrap();
        std::fs::write(dir.path().join("collector-config/agent.yaml"), "").unwrap();
        assert_eq!(checkout(&deep), Some(dir.path()));
    }

    #[test]
    fn variables_have_a_name() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        variable("A").unwrap_err();
        variable("=b").unwrap_err();
    }
}
