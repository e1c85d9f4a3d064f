//! The paths of the programs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::error::StackError;
use super::spec::{ProcessSpec, Program, StackSpec};

/// The directories of the programs that the stack runs.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The directory of the pipeline's programs, such as `otelcol` and `jaeger`.
    pub bin: PathBuf,
    /// The pipeline's programs that are elsewhere, by name.
    pub tools: BTreeMap<String, PathBuf>,
    /// The directory of the programs of the services' Cargo packages.
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
            bin: root.join("bin"),
            tools: BTreeMap::new(),
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

    /// Sets the path of each program of the pipeline from the environment variable with its name in upper case, such as
    /// `OTELCOL` and `JAEGER`, if set.
    #[must_use]
    pub fn with_environment(mut self, spec: &StackSpec) -> Self {
        for process in spec.pipeline() {
            if let Some(Program::Tool(name)) = &process.program
                && let Some(path) = std::env::var_os(variable(name)).filter(|path| !path.is_empty())
            {
                self.tools.insert(name.clone(), path.into());
            }
        }
        self
    }

    /// Returns the program of a process, or `None` if the process is started by hand.
    #[must_use]
    pub fn path(&self, process: &ProcessSpec) -> Option<PathBuf> {
        Some(match process.program.as_ref()? {
            Program::Tool(name) => self.tools.get(name).cloned().unwrap_or_else(|| self.bin.join(name)),
            Program::Package(package) => self.services.join(package),
            Program::File { path, .. } => path.clone(),
        })
    }

    /// Returns the absolute path of the program of a process. If the program is missing, the error says how to build
    /// it, and for a service where `file` names it.
    pub(super) fn check(&self, process: &ProcessSpec, file: Option<&Path>) -> Result<PathBuf, StackError> {
        let (Some(program), Some(path)) = (&process.program, self.path(process)) else {
            return Err(StackError::NoProgram(process.name.clone()));
        };
        path.canonicalize().ok().filter(|path| path.is_file()).ok_or_else(|| {
            let remedy = match program {
                Program::Tool(name) => {
                    format!("Build it with `make bin/{name}`, or set {} to its path", variable(name))
                }
                Program::Package(_) => "Build it with `make build`".to_owned(),
                Program::File { build: Some(command), .. } => format!("Build it with `{command}`"),
                Program::File { build: None, .. } => {
                    let file = file.unwrap_or(Path::new(super::spec::FILE_NAME)).display();
                    format!("Build it, or correct the path in {file}:{}", process.line)
                }
            };
            StackError::MissingBinary { process: process.name.clone(), path, remedy }
        })
    }
}

/// The environment variable with the path of a program of the pipeline.
fn variable(program: &str) -> String {
    program.replace('-', "_").to_uppercase()
}
