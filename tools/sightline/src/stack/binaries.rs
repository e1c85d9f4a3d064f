//! Where the programs are.

use std::io;
use std::path::{Path, PathBuf};

use super::error::StackError;
use super::process::Process;

/// The programs that the stack runs.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The Collector, agent and gateway alike.
    pub otelcol: PathBuf,
    /// Jaeger.
    pub jaeger: PathBuf,
    /// The directory with `user-service`, `order-service` and `inventory-service`.
    pub services: PathBuf,
    /// `sightline` itself, which starts each child so that it ends with its parent (see `lifeline`). Without it
    /// children outlive a parent that is killed hard.
    pub sightline: Option<PathBuf>,
}

impl Binaries {
    /// Those that `make` builds in a checkout: services and sightline in the directory given, the others in `bin/`.
    #[must_use]
    pub fn of_checkout(root: &Path, services: &Path) -> Self {
        Self {
            otelcol: root.join("bin/otelcol"),
            jaeger: root.join("bin/jaeger"),
            services: services.to_owned(),
            sightline: Some(services.join("sightline")).filter(|path| path.is_file()),
        }
    }

    /// The directory where Cargo put the running program and built the others: that of the program, or, for a test, the
    /// one above. Tests of a release build find the services of a release build. Fails where the system does not tell.
    pub fn directory() -> io::Result<PathBuf> {
        let program = std::env::current_exe()?;
        let dir = program.parent().unwrap_or(Path::new("."));
        let above = dir.parent().filter(|_| dir.ends_with("deps"));
        Ok(above.unwrap_or(dir).to_owned())
    }

    /// The same as these, but for a Collector and a Jaeger that the environment names in `OTELCOL` and `JAEGER`.
    #[must_use]
    pub fn with_environment(self) -> Self {
        let given = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            otelcol: given("OTELCOL").unwrap_or(self.otelcol),
            jaeger: given("JAEGER").unwrap_or(self.jaeger),
            ..self
        }
    }

    /// The program of a process.
    #[must_use]
    pub fn of(&self, process: Process) -> PathBuf {
        match process {
            Process::Jaeger => self.jaeger.clone(),
            Process::Gateway | Process::Agent => self.otelcol.clone(),
            Process::InventoryService | Process::UserService | Process::OrderService => {
                self.services.join(process.name())
            }
        }
    }

    /// The program, absolute, or which one is missing and what builds it.
    pub(super) fn check(&self, process: Process) -> Result<PathBuf, StackError> {
        let path = self.of(process);
        path.canonicalize().ok().filter(|path| path.is_file()).ok_or(StackError::MissingBinary {
            process,
            path,
            remedy: match process {
                Process::Jaeger => "`make bin/jaeger` builds it, or JAEGER names one",
                Process::Gateway | Process::Agent => "`make bin/otelcol` builds it, or OTELCOL names one",
                _ => "`make build` builds it",
            },
        })
    }
}
