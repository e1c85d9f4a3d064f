//! Certificates for mutual TLS on one machine: a CA, and one certificate for each identity.
//!
//! ```text
//! DIR/ca/ca.crt              certificate of the CA, valid for ten years
//! DIR/ca/ca.key              private key of the CA; it is never copied
//! DIR/<identity>/ca.crt      the CA that the identity trusts
//! DIR/<identity>/tls.crt     certificate of the identity, for servers and clients
//! DIR/<identity>/tls.key     private key of the identity
//! ```
//!
//! The names of an identity's files are the same as the keys of a Kubernetes TLS secret, so the Collector's
//! configuration is the same on one machine and in a cluster.
//!
//! # Replacing files that running processes read
//!
//! Each file is written under a temporary name, synced and renamed, so a reader never sees half a file. A key and its
//! certificate are two files, and a process may read them between the two renames. The key is renamed first and the
//! certificate last. A process that reads both files after the certificate has changed therefore finds the matching
//! key. A process that reads between the renames gets a key and a certificate that do not match. rustls and Go both
//! reject such a pair; the process must then keep its previous pair and read the files again.
//!
//! A CA is renewed with the same key. The certificates that the CA has signed stay valid, and a peer that still has the
//! old `ca.crt` accepts new certificates. This matters because the Collector reloads its own certificate, but its
//! exporters never reload their `ca_file`.

mod ca;
mod files;
mod inspect;
mod leaf;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use time::{Duration, OffsetDateTime};

use self::ca::Ca;

/// The default lifetime of an identity's certificate.
pub const LEAF_LIFETIME: Duration = Duration::days(90);

/// The lifetime of the CA: longer than a checkout is likely to exist.
const CA_LIFETIME: Duration = Duration::days(3650);

/// The validity of a new certificate starts this much earlier than its creation, because the clocks of two machines
/// can differ.
const BACKDATE: Duration = Duration::minutes(10);

/// The certificates to create or renew.
#[derive(Debug, Clone)]
pub struct Request {
    /// The directory that contains `ca/` and one directory for each identity. Created with mode 0700 if it is missing.
    pub dir: PathBuf,
    /// The identities that get a certificate. Each identity becomes a DNS name in its certificate, so it must be a
    /// valid DNS name.
    pub identities: Vec<String>,
    /// The lifetime of new certificates, at most 3650 days. Existing certificates keep their lifetime.
    pub lifetime: Duration,
}

impl Request {
    /// Returns a request for these identities, with the default lifetime.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, identities: Vec<String>) -> Self {
        Self { dir: dir.into(), identities, lifetime: LEAF_LIFETIME }
    }
}

/// The result of [`ensure`].
#[derive(Debug, Clone)]
pub struct Report {
    /// The CA.
    pub ca: Entry,
    /// The identities, in the order of [`Request::identities`].
    pub identities: Vec<Entry>,
}

impl Report {
    /// Returns the time at which the first of these certificates needs renewal. Call [`ensure`] again at that time.
    #[must_use]
    pub fn renew_at(&self) -> OffsetDateTime {
        self.identities
            .iter()
            .map(|entry| entry.validity.renew_at())
            .fold(self.ca.validity.renew_at(), OffsetDateTime::min)
    }
}

/// What [`ensure`] did with one certificate, and how long the certificate is valid.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `ca`, or the name of the identity.
    pub name: String,
    /// The directory that contains the certificate.
    pub dir: PathBuf,
    /// Whether the certificate was created, kept or renewed.
    pub outcome: Outcome,
    /// The period in which the certificate is valid.
    pub validity: Validity,
}

/// What [`ensure`] did with one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The certificate did not exist and was created.
    Created,
    /// The certificate is valid and was not changed.
    Kept,
    /// The certificate was replaced for this reason.
    Renewed(Reason),
}

/// The reason why a certificate was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Less than a third of its lifetime was left, or it was not valid yet.
    Expiring,
    /// It was signed by a different CA.
    OtherCa,
    /// Its subject alternative names differ from the requested ones.
    OtherNames,
    /// A file was missing or could not be parsed, or the key did not match the certificate.
    Damaged,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expiring => "less than a third of its lifetime was left",
            Self::OtherCa => "it was signed by a different CA",
            Self::OtherNames => "it was issued for other host names",
            Self::Damaged => "its files were incomplete or did not match",
        })
    }
}

/// The period in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The start of the period, inclusive.
    pub not_before: OffsetDateTime,
    /// The end of the period, inclusive.
    pub not_after: OffsetDateTime,
}

impl Validity {
    fn starting(now: OffsetDateTime, lifetime: Duration) -> Self {
        // X.509 stores whole seconds.
        let now = now.replace_nanosecond(0).unwrap_or(now);
        Self { not_before: now - BACKDATE, not_after: now + lifetime }
    }

    /// Returns the time from which [`ensure`] renews the certificate. At this time, a third of the certificate's
    /// lifetime is left.
    #[must_use]
    pub fn renew_at(&self) -> OffsetDateTime {
        self.not_after - (self.not_after - self.not_before) / 3
    }
}

/// The error of [`ensure`].
#[derive(Debug, Error)]
pub enum CertsError {
    /// The name of an identity is not valid. It has to be usable both as a DNS name and as a directory name.
    #[error(
        "{0:?} cannot be an identity: use a DNS name other than \"ca\" with only lower-case letters, digits, \
         '-' and '.'"
    )]
    Name(String),
    /// The requested lifetime in days is out of range.
    #[error("a certificate cannot be valid for {0} days: use 1 to 3650")]
    Lifetime(i64),
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The operation that failed: "read", "write", …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The CA's files exist but cannot be used. The CA is never replaced automatically, because every process that
    /// trusts the old CA would lose its connections.
    #[error(
        "cannot use the CA in {}: {problem}. Restore its files. To create a new CA instead, remove the directory, \
         run this again, and then restart every process that trusts the old CA",
        dir.display()
    )]
    Ca {
        /// The directory of the CA.
        dir: PathBuf,
        /// What is wrong with the CA's files.
        problem: &'static str,
    },
    /// A certificate or its key could not be created.
    #[error("cannot create the certificate of {name}")]
    Create {
        /// The identity, or "the CA".
        name: String,
        /// The cause.
        source: rcgen::Error,
    },
}

/// Ensures that the directory contains a valid CA, and a valid certificate for each identity.
///
/// Missing certificates are created. A certificate is renewed if less than a third of its lifetime is left, if it was
/// signed by a different CA, if its names differ from the requested names, or if its files are damaged. Concurrent
/// calls wait for each other, even if they come from different processes.
///
/// Fails if a name or the lifetime is invalid, if a file cannot be read or written, or if the files of the CA cannot be
/// used.
pub fn ensure(request: &Request) -> Result<Report, CertsError> {
    ensure_at(request, OffsetDateTime::now_utc())
}

fn ensure_at(request: &Request, now: OffsetDateTime) -> Result<Report, CertsError> {
    for name in &request.identities {
        check_name(name)?;
    }
    if request.lifetime <= Duration::ZERO || request.lifetime > CA_LIFETIME {
        return Err(CertsError::Lifetime(request.lifetime.whole_days()));
    }
    files::create_dir(&request.dir)?;
    let _lock = files::lock(&request.dir)?;
    let (ca, entry) = Ca::ensure(&request.dir.join("ca"), now)?;
    let identities = request
        .identities
        .iter()
        .map(|name| leaf::ensure(&ca, &request.dir, name, request.lifetime, now))
        .collect::<Result<_, _>>()?;
    Ok(Report { ca: entry, identities })
}

fn check_name(name: &str) -> Result<(), CertsError> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    // A common name has at most 64 characters: ub-common-name of RFC 5280, appendix A.
    if name != "ca" && name.len() <= 64 && name.split('.').all(label) {
        Ok(())
    } else {
        Err(CertsError::Name(name.to_owned()))
    }
}

/// The three files of one identity.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The CA to trust, `ca.crt`.
    pub ca: PathBuf,
    /// The certificate, `tls.crt`.
    pub cert: PathBuf,
    /// The private key of the certificate, `tls.key`.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Returns the paths of the files in the directory of an identity.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self { ca: dir.join("ca.crt"), cert: dir.join("tls.crt"), key: dir.join("tls.key") }
    }
}

#[cfg(test)]
mod tests;
