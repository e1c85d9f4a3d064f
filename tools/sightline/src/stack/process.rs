//! The name of a process of the stack.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The name of a process of the stack: a part of the pipeline or a service. It is also the name of its certificate, its
/// log file and its `service.name`. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process(Arc<str>);

impl Process {
    /// Returns the name as text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Process {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

/// Functions that take a name as `&str` also accept a `&Process`.
impl Deref for Process {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Process {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Process {
    fn eq(&self, name: &str) -> bool {
        self.name() == name
    }
}

impl PartialEq<&str> for Process {
    fn eq(&self, name: &&str) -> bool {
        self.name() == *name
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
