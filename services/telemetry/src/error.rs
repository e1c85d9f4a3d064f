//! What can go wrong at the start and at the end, and how an error is written on one line.

use std::error::Error;
use std::fmt::Write;

use crate::settings::SettingsError;
use crate::text;
use crate::tls::TlsError;

/// Why telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The files of mutual TLS cannot be used.
    #[error(
        "OTEL_EXPORTER_OTLP_CERTIFICATE, …_CLIENT_CERTIFICATE and …_CLIENT_KEY must name readable PEM files that belong \
         together"
    )]
    Certificates(#[source] TlsError),
    /// An exporter cannot be built.
    #[error("the {signal} exporter cannot be built: {reason}")]
    Exporter {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// What the SDK says.
        reason: String,
    },
    /// The thread that exporters run on cannot be started.
    #[error("the exporters' thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// Something else in this process has set up `tracing` before.
    #[error("`tracing` is already set up in this process; start telemetry before, or instead")]
    Subscriber(#[source] Box<dyn Error + Send + Sync>),
}

impl StartError {
    /// Whether a setting is to blame, the files it names included: starting again will not help.
    pub(crate) fn is_of_settings(&self) -> bool {
        matches!(self, Self::Settings(_) | Self::Certificates(_))
    }
}

/// What was not delivered when telemetry was shut down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("telemetry was lost: {}", lost.join("; "))]
pub struct ShutdownError {
    /// A line for each exporter that could not deliver all it was given.
    pub lost: Vec<String>,
}

/// An error with all its sources on one line, none repeated, and no longer than an attribute may be.
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
    #[error("{said}")]
    struct Told {
        said: String,
        source: Option<Box<Told>>,
    }

    fn told(said: &str, source: Option<Told>) -> Told {
        Told { said: said.to_owned(), source: source.map(Box::new) }
    }

    #[test]
    fn every_source_is_told_once() {
        let error = told("no order", Some(told("no connection: refused", Some(told("refused", None)))));
        assert_eq!(chain(&error), "no order: no connection: refused");
    }

    #[test]
    fn a_line_is_bounded_in_whole_characters() {
        let error = told(&"ä".repeat(2 * text::MAX), Some(told("more", None)));
        let line = chain(&error);
        assert!(line.len() <= text::MAX && line.chars().all(|character| character == 'ä'), "{}", line.len());
    }
}
