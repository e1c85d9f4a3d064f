//! File operations for certificates and keys: atomic replacement, and permissions that are set at creation.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::CertsError;

/// Who can read a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// Every user who can enter the directory; used for certificates.
    Public,
    /// Only the owner; used for keys.
    Owner,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Public => 0o644,
            Self::Owner => 0o600,
        }
    }
}

/// Creates a directory and its parents with mode 0700. An existing directory keeps its mode.
pub(super) fn create_dir(dir: &Path) -> Result<(), CertsError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("create directory", dir))
}

/// Takes an exclusive lock on the directory. Waits if another process holds the lock. Dropping the returned file
/// releases the lock.
pub(super) fn lock(dir: &Path) -> Result<File, CertsError> {
    let path = dir.join(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed("open", &path))?;
    file.lock().map_err(failed("lock", &path))?;
    Ok(file)
}

/// Returns the content of the file, or `None` if it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<String>, CertsError> {
    match fs::read(path) {
        // Content that is not UTF-8 is not PEM either, so the parser rejects it.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Replaces a file atomically: writes and syncs a temporary file in the same directory, renames it and syncs the
/// directory.
pub(super) fn replace(path: &Path, text: &str, access: Access) -> Result<(), CertsError> {
    write_and_rename(path, text, access).map_err(failed("write", path))
}

fn write_and_rename(path: &Path, text: &str, access: Access) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    // The temporary file may exist, because an earlier process with the same id may have been killed while it wrote
    // the file.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(access.mode())
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // Report the first error. If the removal fails too, the next attempt to write removes the temporary file.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Sets the mode of a key file to 0600 if other users have any permission on the file.
pub(super) fn restrict(path: &Path) -> Result<(), CertsError> {
    let mode = fs::metadata(path).map_err(failed("read", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        let owner = Permissions::from_mode(Access::Owner.mode());
        fs::set_permissions(path, owner).map_err(failed("restrict the permissions of", path))?;
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CertsError {
    move |source| CertsError::File { action, path: path.to_owned(), source }
}
