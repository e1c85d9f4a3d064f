//! Files that hold secrets: private from the first byte, and replaced whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::CertsError;

/// Who may read a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// Anyone who reaches the directory: certificates.
    Public,
    /// The owner: keys.
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

/// Makes a directory, and its parents, for the owner alone. One that is there keeps its mode.
pub(super) fn make_dir(dir: &Path) -> Result<(), CertsError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("make directory", dir))
}

/// Holds off other callers until dropped.
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

/// The file's text, or nothing where there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, CertsError> {
    match fs::read(path) {
        // What is no text is no PEM either; the parser says so.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Replaces a file: a temporary name in the same directory, synced, renamed, the directory synced.
pub(super) fn replace(path: &Path, text: &str, access: Access) -> Result<(), CertsError> {
    write_and_rename(path, text, access).map_err(failed("write", path))
}

fn write_and_rename(path: &Path, text: &str, access: Access) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    // A file of an earlier process with our id, killed midway, is worth nothing.
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
        // The first error is the one to report; a leftover is removed at the next try.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Takes others' rights on a key away, should someone have given any.
pub(super) fn restrict(path: &Path) -> Result<(), CertsError> {
    let mode = fs::metadata(path).map_err(failed("read", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        let owner = Permissions::from_mode(Access::Owner.mode());
        fs::set_permissions(path, owner).map_err(failed("restrict", path))?;
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CertsError {
    move |source| CertsError::File { action, path: path.to_owned(), source }
}
