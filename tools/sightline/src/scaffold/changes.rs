//! Changes to files that are undone together.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ScaffoldError;

/// The files that were written. Call [`undo`](Self::undo) if a later step fails.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The previous content of each file that existed.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// The directories that did not exist.
    directories: Vec<PathBuf>,
}

impl Changes {
    /// Keeps the content of a file, so that `undo` restores it. Does nothing if the file does not exist.
    pub(super) fn keep(&mut self, path: &Path) -> Result<(), ScaffoldError> {
        match fs::read(path) {
            Ok(content) => self.files.push((path.to_owned(), content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ScaffoldError::Read { path: path.to_owned(), source }),
        }
        Ok(())
    }

    /// Creates a directory, which must not exist.
    pub(super) fn create_directory(&mut self, path: &Path) -> Result<(), ScaffoldError> {
        let created = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::create_dir(path));
        created.map_err(|source| ScaffoldError::Write { path: path.to_owned(), source })?;
        self.directories.push(path.to_owned());
        Ok(())
    }

    /// Replaces the content of a file that exists.
    pub(super) fn replace(&mut self, path: &Path, text: &str) -> Result<(), ScaffoldError> {
        self.keep(path)?;
        write(path, text)
    }

    /// Restores all files and removes the directories. If that fails for one of them, goes on with the others. Returns
    /// `cause`, together with the first error.
    pub(super) fn undo(self, cause: ScaffoldError) -> ScaffoldError {
        let mut failed = None;
        for path in self.directories.into_iter().rev() {
            if let Err(source) = fs::remove_dir_all(&path) {
                failed.get_or_insert((path, source));
            }
        }
        for (path, content) in self.files.into_iter().rev() {
            if let Err(source) = fs::write(&path, content) {
                failed.get_or_insert((path, source));
            }
        }
        match failed {
            None => cause,
            Some((path, source)) => ScaffoldError::Undo { cause: Box::new(cause), path, source },
        }
    }
}

/// Writes a file, and creates its directory.
pub(super) fn write(path: &Path, text: &str) -> Result<(), ScaffoldError> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|source| ScaffoldError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> ScaffoldError {
        ScaffoldError::NoFreePort(1)
    }

    #[test]
    fn restores_files_and_removes_directories() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other, new) =
            (dir.path().join("file"), dir.path().join("other"), dir.path().join("a/new"));
        fs::write(&file, "before").unwrap();
        fs::write(&other, b"\xff").unwrap();
        let mut changes = Changes::default();
        changes.create_directory(&new).unwrap();
        write(&new.join("src/main.rs"), "fn main() {}").unwrap();
        changes.replace(&file, "first").unwrap();
        changes.replace(&file, "second").unwrap();
        changes.keep(&other).unwrap();
        changes.keep(&dir.path().join("missing")).unwrap();
        fs::write(&other, "after").unwrap();
        assert!(matches!(changes.undo(cause()), ScaffoldError::NoFreePort(1)));
        assert_eq!(fs::read(&file).unwrap(), b"before");
        assert_eq!(fs::read(&other).unwrap(), b"\xff");
        assert!(!new.exists());
    }

    #[test]
    fn reports_what_it_could_not_restore() {
        let dir = tempfile::tempdir().unwrap();
        let (file, new) = (dir.path().join("file"), dir.path().join("new"));
        fs::write(&file, "before").unwrap();
        let mut changes = Changes::default();
        changes.create_directory(&new).unwrap();
        changes.replace(&file, "after").unwrap();
        fs::remove_dir(&new).unwrap();
        let error = changes.undo(cause()).to_string();
        assert!(error.contains("no number above 1") && error.contains("use git to restore it"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"before");
    }

    #[test]
    fn does_not_use_an_existing_directory() {
        let dir = tempfile::tempdir().unwrap();
        let mut changes = Changes::default();
        let error = changes.create_directory(dir.path()).unwrap_err();
        assert!(matches!(error, ScaffoldError::Write { .. }), "{error}");
        changes.undo(error);
        assert!(dir.path().exists());
    }
}
