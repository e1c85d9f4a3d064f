//! The environment of a service that is started by hand, as commands for a shell.

use std::fmt::Write as _;

use sightline::stack::{Stack, StackError};

/// Returns the commands that set the environment of a service in a shell.
pub(super) fn describe(stack: &Stack, service: &str) -> Result<String, StackError> {
    let mut text = "To connect a service to this pipeline, run these commands in another terminal, and start the service in \
         it:\n".to_string();
    for (name, value) in stack.environment(service)? {
        // Writing to a String cannot fail. Paths that are not UTF-8 cannot be printed exactly.
        let _ = write!(text, "\nexport {name}={}", quote(&value.to_string_lossy()));
    }
    Ok(text)
}

/// Quotes a value for a POSIX shell, if necessary.
fn quote(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_interpret() {
        assert_eq!(quote("https://localhost:4317"), "https://localhost:4317");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("sqlite:///x?mode=rwc"), "'sqlite:///x?mode=rwc'");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
