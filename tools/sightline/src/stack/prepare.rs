//! The steps before the first process is started: directories, lock, checks and certificates.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::config::StackConfig;
use super::error::StackError;
use super::plan::{Directories, additions_file};
use super::ports::find_unusable;
use super::spec::{FILE_NAME, JAEGER, StackSpec};
use crate::certs;

/// Creates the state directory and its subdirectories with mode 0700: one for the logs, and one for the data of each
/// process of the pipeline. Returns the absolute path of the state directory.
pub(super) fn create_directories(dir: &Path, spec: &StackSpec) -> Result<PathBuf, StackError> {
    for name in ["", "logs"].into_iter().chain(spec.pipeline().map(|process| process.name.name())) {
        let path = dir.join(name);
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        created.map_err(|source| StackError::Directory { path, source })?;
    }
    dir.canonicalize().map_err(|source| StackError::Directory { path: dir.to_owned(), source })
}

/// The lock of a state directory. It is released when this value is dropped.
#[derive(Debug)]
pub(super) struct StateLock(pub(super) File);

impl Drop for StateLock {
    fn drop(&mut self) {
        // Closing the file does not always release the lock: a child that is just being started holds a copy of the
        // descriptor until it calls `exec`. An error means that there is no lock to release.
        let _ = self.0.unlock();
    }
}

/// Locks the state directory, so that no other stack can use it. Without the lock, a second Jaeger with the same
/// database would fail later, with a less helpful message. The system releases the lock when this process exits, even
/// after SIGKILL.
pub(super) fn lock(dir: &Path) -> Result<StateLock, StackError> {
    let path = dir.join("lock");
    let failed = |source| StackError::Directory { path: path.clone(), source };
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // The process id is optional in the message, so a failed read is ignored.
            let _ = file.read_to_string(&mut pid);
            let pid = Some(pid.trim().to_owned()).filter(|pid| pid.parse::<u32>().is_ok());
            return Err(StackError::InUse { dir: dir.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(StateLock(file))
}

/// Checks that the programs, the configuration, Jaeger's UI and the ports can be used. Returns the absolute paths of the
/// pipeline configuration and of the UI, which is empty for a UI that is compiled in.
pub(super) fn check(config: &StackConfig) -> Result<(PathBuf, PathBuf), StackError> {
    for process in config.processes.iter().chain(config.environment.keys()) {
        config.process(process)?;
    }
    for process in &config.processes {
        config.binaries.check(config.process(process)?, config.spec.file())?;
    }
    let pipeline = fs::canonicalize(&config.pipeline)
        .ok()
        .filter(|path| path.join("agent.yaml").is_file())
        .ok_or_else(|| StackError::MissingConfig(config.pipeline.clone()))?;
    // A stack without Jaeger needs no UI.
    let runs_jaeger = config.processes.iter().any(|process| *process == JAEGER);
    let ui = if runs_jaeger { config.jaeger_ui.check()? } else { PathBuf::new() };
    let used = config.ports.all().iter().filter(|port| config.processes.contains(&port.process));
    let unusable = find_unusable(&used.cloned().collect::<Vec<_>>());
    if unusable.is_empty() { Ok((pipeline, ui)) } else { Err(StackError::UnusablePorts(unusable)) }
}

/// Writes the gateway's last configuration file if the services file has additions to the gateway's configuration.
pub(super) fn write_additions(config: &StackConfig, directories: &Directories) -> Result<(), StackError> {
    let additions = config.spec.gateway();
    if additions.is_empty() {
        return Ok(());
    }
    let base = directories.pipeline.join("gateway.yaml");
    let text = fs::read_to_string(&base).map_err(|source| StackError::Directory { path: base, source })?;
    let overlay = additions.overlay(&text).map_err(|source| StackError::Additions {
        file: config.spec.file().unwrap_or(Path::new(FILE_NAME)).to_owned(),
        source,
    })?;
    let path = additions_file(&directories.state);
    fs::write(&path, overlay).map_err(|source| StackError::Directory { path, source })
}

/// Returns the absolute path of a directory that may not exist yet.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, StackError> {
    std::path::absolute(path).map_err(|source| StackError::Directory { path: path.to_owned(), source })
}

/// Creates or renews the certificates of all processes. This includes processes that the stack does not run, because a
/// user may start them separately.
pub(super) fn ensure_certificates(config: &StackConfig, dir: &Path) -> Result<certs::Report, StackError> {
    let request = certs::Request {
        lifetime: config.certificate_lifetime,
        ..certs::Request::new(dir, config.spec.identities())
    };
    Ok(certs::ensure(&request)?)
}
