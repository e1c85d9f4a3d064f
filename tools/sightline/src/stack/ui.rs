//! The UI that Jaeger serves.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::error::StackError;

/// The environment variable that selects the UI.
pub(super) const VARIABLE: &str = "JAEGER_UI";
/// The value of [`VARIABLE`] for [`JaegerUi::Embedded`].
const EMBEDDED: &str = "embedded";

/// Where the files of Jaeger's UI come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JaegerUi {
    /// The UI is compiled into the Jaeger program, as in Jaeger's releases.
    Embedded,
    /// The production build of a UI is in this directory: `index.html`, and a directory `static`.
    Directory(PathBuf),
}

impl JaegerUi {
    /// Returns the UI that `make` copies into `bin/` of a checkout, or the one that the environment variable
    /// `JAEGER_UI` selects.
    #[must_use]
    pub fn for_checkout(root: &Path) -> Self {
        let value = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        value.map_or_else(|| Self::Directory(root.join("bin/jaeger-ui")), Self::from)
    }

    /// Returns the absolute path of the directory, or an empty path for a UI that is compiled in. Fails if the
    /// directory does not contain a UI.
    pub(super) fn check(&self) -> Result<PathBuf, StackError> {
        let Self::Directory(directory) = self else { return Ok(PathBuf::new()) };
        let unusable =
            |problem: &str| StackError::UnusableUi { path: directory.clone(), problem: problem.to_owned() };
        let path = directory.canonicalize().map_err(|error| unusable(&error.to_string()))?;
        let page = fs::read_to_string(path.join("index.html"))
            .map_err(|error| unusable(&format!("its file index.html cannot be read: {error}")))?;
        if is_placeholder(&page) {
            return Err(unusable("its index.html is the placeholder page from Jaeger's source code"));
        }
        Ok(path)
    }
}

impl From<OsString> for JaegerUi {
    /// Parses a value of `JAEGER_UI`: `embedded`, or a directory.
    fn from(value: OsString) -> Self {
        if value == OsStr::new(EMBEDDED) { Self::Embedded } else { Self::Directory(value.into()) }
    }
}

/// Whether this HTML is the page that Jaeger serves if it has neither a compiled-in UI nor a directory with one.
#[must_use]
pub fn is_placeholder(page: &str) -> bool {
    page.contains("This is not the Jaeger UI you are looking for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_selects_a_directory_or_the_embedded_ui() {
        assert_eq!(JaegerUi::from(OsString::from("embedded")), JaegerUi::Embedded);
        assert_eq!(JaegerUi::from(OsString::from("./embedded")), JaegerUi::Directory("./embedded".into()));
    }

    #[test]
    fn accepts_only_a_directory_with_a_ui() {
        let dir = tempfile::tempdir().unwrap();
        let ui = JaegerUi::Directory(dir.path().join("ui"));
        let error = || ui.check().unwrap_err().to_string();
        assert!(error().contains("No such file") && error().contains("`make bin/jaeger-ui`"), "{}", error());
        fs::create_dir(dir.path().join("ui")).unwrap();
        assert!(error().contains("index.html cannot be read: No such file"), "{}", error());
        let page = dir.path().join("ui/index.html");
        fs::write(&page, "<h1>🥋: This is not the Jaeger UI you are looking for!</h1>").unwrap();
        assert!(error().contains("placeholder") && error().contains("JAEGER_UI"), "{}", error());
        fs::write(&page, "<title>Our own UI</title>").unwrap();
        assert_eq!(ui.check().unwrap(), dir.path().join("ui").canonicalize().unwrap());
        assert_eq!(JaegerUi::Embedded.check().unwrap(), Path::new(""));
    }
}
