//! The paths of the programs.

use std::io;
use std::path::{Path, PathBuf};

use super::error::StackError;
use super::process::Process;

/// The programs that the stack runs.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The Collector, which runs as agent and as gateway.
    pub otelcol: PathBuf,
    /// Jaeger.
    pub jaeger: PathBuf,
    /// The directory that contains `user-service`, `order-service` and `inventory-service`.
    pub services: PathBuf,
    /// `sightline`, which starts each process of the stack in such a way that the process is stopped when its parent
    /// dies: see [`parent_death`](super::parent_death). With `None`, the processes outlive a parent that gets SIGKILL.
    pub sightline: Option<PathBuf>,
}

impl Binaries {
    /// Returns the programs that `make` builds in a checkout. The services and `sightline` are in the directory
    /// `services`, and the other programs are in `bin/`.
    #[must_use]
    pub fn for_checkout(root: &Path, services: &Path) -> Self {
        Self {
            otelcol: root.join("bin/otelcol"),
            jaeger: root.join("bin/jaeger"),
            services: services.to_owned(),
            sightline: Some(services.join("sightline")).filter(|path| path.is_file()),
        }
    }

    /// Returns the directory in which Cargo puts programs that are built with the same profile as the running program.
    ///
    /// This is the directory of the running program. A test program is in the subdirectory `deps`, so a test gets the
    /// parent of that directory. Fails if the path of the running program is unknown.
    pub fn directory() -> io::Result<PathBuf> {
        let program = std::env::current_exe()?;
        let dir = program.parent().unwrap_or(Path::new("."));
        let parent = dir.parent().filter(|_| dir.ends_with("deps"));
        Ok(parent.unwrap_or(dir).to_owned())
    }

    /// Sets the paths of the Collector and Jaeger from the environment variables `OTELCOL` and `JAEGER`, if set.
    #[must_use]
    pub fn with_environment(self) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            otelcol: variable("OTELCOL").unwrap_or(self.otelcol),
            jaeger: variable("JAEGER").unwrap_or(self.jaeger),
            ..self
        }
    }

    /// Returns the program of a process.
    #[must_use]
    pub fn path(&self, process: Process) -> PathBuf {
        match process {
            Process::Jaeger => self.jaeger.clone(),
            Process::Gateway | Process::Agent => self.otelcol.clone(),
            Process::InventoryService | Process::UserService | Process::OrderService => {
                self.services.join(process.name())
            }
        }
    }

    /// Returns the absolute path of the program of a process. If the program is missing, the error says how to build
    /// it.
    pub(super) fn check(&self, process: Process) -> Result<PathBuf, StackError> {
        let path = self.path(process);
        path.canonicalize().ok().filter(|path| path.is_file()).ok_or(StackError::MissingBinary {
            process,
            path,
            remedy: match process {
                Process::Jaeger => "Build it with `make bin/jaeger`, or set JAEGER to its path",
                Process::Gateway | Process::Agent => {
                    "Build it with `make bin/otelcol`, or set OTELCOL to its path"
                }
                _ => "Build it with `make build`",
            },
        })
    }
}
