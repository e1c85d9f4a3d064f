//! The errors of certificate files.

use std::error::Error;
use std::path::PathBuf;

/// An error in the certificate files of a TLS client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file contains no usable PEM.
    #[error("{} contains no usable {kind} in PEM", path.display())]
    Pem {
        /// The path of the file.
        path: PathBuf,
        /// `certificate` or `private key`.
        kind: &'static str,
    },
    /// The private key does not belong to the certificate, or is of an unsupported kind.
    #[error("{} is not the private key of {}", key.display(), certificate.display())]
    Mismatch {
        /// The path of the certificate.
        certificate: PathBuf,
        /// The path of the private key.
        key: PathBuf,
        /// The error from the TLS library.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The CAs cannot be used to verify a server's certificate.
    #[error("the CAs cannot be used to verify a server's certificate: {0}")]
    UnusableCas(String),
}
