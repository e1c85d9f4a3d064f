//! Errors at start and at shutdown, and the function that formats an error on one line.

use std::error::Error;
use std::fmt::Write;

use crate::settings::SettingsError;
use crate::text;
use crate::tls::TlsError;

/// The reason why telemetry could not be started.
///
/// [`run`](crate::run) prints this error. The process then exits with code 64 for [`Settings`](Self::Settings) and
/// [`Certificates`](Self::Certificates), because a restart does not fix these errors, and with code 1 for the other
/// variants.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting has a value that cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The TLS files of the OTLP exporters cannot be used. The error's source says which file.
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE, …_CLIENT_CERTIFICATE or …_CLIENT_KEY cannot be used")]
    Certificates(#[source] TlsError),
    /// An exporter cannot be built.
    #[error("the {signal} exporter cannot be built: {reason}")]
    Exporter {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// The message of the underlying error.
        reason: String,
    },
    /// A thread or a Tokio runtime cannot be started.
    #[error("a thread or runtime cannot be started")]
    Thread(#[source] std::io::Error),
    /// The process already has a global `tracing` subscriber.
    #[error("this process already has a global `tracing` subscriber; remove the code that installs it")]
    Subscriber(#[source] Box<dyn Error + Send + Sync>),
}

impl StartError {
    /// Whether the cause is a setting, or a file that a setting names. A restart does not fix such an error.
    pub(crate) fn is_settings_error(&self) -> bool {
        matches!(self, Self::Settings(_) | Self::Certificates(_))
    }
}

/// The telemetry that was lost from the start of telemetry to the end of its shutdown.
///
/// ```
/// let error = telemetry::ShutdownError { lost: vec!["7 of 120 spans to otlp".to_owned()] };
/// assert_eq!(error.to_string(), "telemetry was lost: 7 of 120 spans to otlp");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("telemetry was lost: {}", lost.join("; "))]
pub struct ShutdownError {
    /// One entry for each exporter that lost something, such as `7 of 120 spans to otlp`.
    pub lost: Vec<String>,
}

/// Formats the messages of an error and its sources on one line, separated by colons.
///
/// A source is left out if the line already ends with the source's message. The line has at most 1024 bytes, because it
/// can become the value of an attribute.
///
/// ```
/// use std::io::{Error, ErrorKind};
///
/// use telemetry::{StartError, chain};
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
