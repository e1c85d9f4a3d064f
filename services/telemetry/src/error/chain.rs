//! The function that formats an error on one line.

use std::error::Error;
use std::fmt::Write;

use crate::text;

/// Formats the messages of an error and its sources on one line, separated by colons.
///
/// A source is left out if the line already ends with the source's message. The line has at most 1024 bytes, because it
/// can become the value of an attribute.
///
/// ```
/// use std::io::{Error, ErrorKind};
///
/// use sightline_telemetry::{StartError, chain};
///
/// let error = StartError::Thread(Error::from(ErrorKind::OutOfMemory));
/// assert_eq!(chain(&error), "a thread or runtime cannot be started: out of memory");
/// ```
pub fn chain<E: Error + ?Sized>(error: &E) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next.filter(|_| line.len() < text::MAX) {
        let text = source.to_string();
        if !line.ends_with(&text) {
            // Writing to a String cannot fail.
            let _ = write!(line, ": {text}");
        }
        next = source.source();
    }
    line.truncate(text::bounded(&line).len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{message}")]
    struct TestError {
        message: String,
        source: Option<Box<TestError>>,
    }

    fn error(message: &str, source: Option<TestError>) -> TestError {
        TestError { message: message.to_owned(), source: source.map(Box::new) }
    }

    #[test]
    fn includes_each_source_once() {
        let error = error("no order", Some(error("no connection: refused", Some(error("refused", None)))));
        assert_eq!(chain(&error), "no order: no connection: refused");
    }

    #[test]
    fn truncates_a_long_line_between_characters() {
        let error = error(&"ä".repeat(2 * text::MAX), Some(error("more", None)));
        let line = chain(&error);
        assert!(line.len() <= text::MAX && line.chars().all(|character| character == 'ä'), "{}", line.len());
    }
}
