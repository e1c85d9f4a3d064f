//! What has to be right before anything is started.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::config::StackConfig;
use super::error::StackError;
use super::ports;
use crate::certs;

/// Makes the state's directories, for this user alone; returns the absolute path.
pub(super) fn directories(dir: &Path) -> Result<PathBuf, StackError> {
    for part in ["", "logs", "agent", "gateway"] {
        let path = dir.join(part);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| StackError::Directory { path, source })?;
    }
    dir.canonicalize().map_err(|source| StackError::Directory { path: dir.to_owned(), source })
}

/// Makes sure that no other stack runs on the same state; two Jaegers on one database would both fail, later and with
/// a worse message. The lock ends with this process, whatever its end.
pub(super) fn lock(dir: &Path) -> Result<File, StackError> {
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
            // Without the other's pid the message is still right.
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
    Ok(file)
}

/// Checks programs, configuration and ports, in the order in which a newcomer meets them.
pub(super) fn check(config: &StackConfig) -> Result<PathBuf, StackError> {
    for &process in &config.processes {
        config.binaries.check(process)?;
    }
    let pipeline = fs::canonicalize(&config.pipeline)
        .ok()
        .filter(|path| path.join("agent.yaml").is_file())
        .ok_or_else(|| StackError::MissingConfig(config.pipeline.clone()))?;
    let wanted: Vec<_> =
        config.ports.each().into_iter().filter(|port| config.processes.contains(&port.process)).collect();
    let unusable = ports::unusable(&wanted);
    if unusable.is_empty() { Ok(pipeline) } else { Err(StackError::PortsInUse(unusable)) }
}

/// Makes or renews the certificates of every process, also of those that do not run: it costs nothing, and someone
/// may run them by hand.
pub(super) fn certificates(config: &StackConfig, dir: &Path) -> Result<certs::Report, StackError> {
    let request =
        certs::Request { life: config.certificate_life, ..certs::Request::local(dir.join("certs")) };
    Ok(certs::ensure(&request)?)
}
