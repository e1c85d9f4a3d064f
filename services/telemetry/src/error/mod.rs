//! Errors at start and at shutdown, and the function that formats an error on one line.

mod chain;
mod tls;

use std::error::Error;

use crate::settings::SettingsError;

pub use chain::chain;
pub use tls::TlsError;

/// The reason why telemetry could not be started.
///
/// [`run`](crate::run) prints this error. The process then exits with code 64 for [`Settings`](Self::Settings) and
/// [`Certificates`](Self::Certificates), because a restart does not fix these errors, and with code 1 for the other
/// variants.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
/// let error = sightline_telemetry::ShutdownError { lost: vec!["7 of 120 spans to otlp".to_owned()] };
/// assert_eq!(error.to_string(), "telemetry was lost: 7 of 120 spans to otlp");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("telemetry was lost: {}", lost.join("; "))]
pub struct ShutdownError {
    /// One entry for each exporter that lost something, such as `7 of 120 spans to otlp`.
    pub lost: Vec<String>,
}
