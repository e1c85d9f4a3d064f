//! Certificates for mutual TLS on one machine: an authority, and one certificate for each identity.
//!
//! ```text
//! DIR/ca/ca.crt              the authority, ten years
//! DIR/ca/ca.key              its key; never leaves this directory
//! DIR/<identity>/ca.crt      what the identity trusts
//! DIR/<identity>/tls.crt     who it is, as server and as client
//! DIR/<identity>/tls.key     its key
//! ```
//!
//! The three names in an identity's directory are those of a Kubernetes TLS secret, so one Collector configuration
//! serves both places.
//!
//! # Replacing files under running readers
//!
//! Each file is written whole under a temporary name, synced and renamed: no reader sees half a file. A key and its
//! certificate are still two files, and a reader may come between the two renames. The key is renamed first and the
//! certificate last, so a reader that watches the certificate finds the right key beside it; one that comes in between
//! holds a pair that does not match, which rustls and Go both refuse, and must then keep what it had and read again.
//!
//! An authority is renewed with the key it has. Certificates it signed stay valid, and a peer that still holds the
//! old `ca.crt` (the Collector reloads its certificate but never a client's `ca_file`) accepts the new ones.

mod authority;
mod files;
mod inspect;
mod leaf;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use time::{Duration, OffsetDateTime};

use self::authority::Authority;

/// The processes of the local stack, each with a certificate of its own.
pub const IDENTITIES: [&str; 6] =
    ["agent", "gateway", "jaeger", "user-service", "order-service", "inventory-service"];

/// How long an identity's certificate lives unless asked otherwise.
pub const LEAF_LIFE: Duration = Duration::days(90);

/// How long the authority lives: longer than anyone keeps a working copy.
const AUTHORITY_LIFE: Duration = Duration::days(3650);

/// Clocks of two machines differ; a certificate is valid from a little before it was made.
const BACKDATE: Duration = Duration::minutes(10);

/// What to make sure of: where, for whom, for how long.
#[derive(Debug, Clone)]
pub struct Request {
    /// The directory that holds `ca/` and one directory for each identity. Made if missing, mode 0700.
    pub dir: PathBuf,
    /// Names that get a certificate. Each must be a DNS name, as it becomes one in the certificate.
    pub identities: Vec<String>,
    /// Life of a certificate made now. Certificates already there keep theirs.
    pub life: Duration,
}

impl Request {
    /// The identities of the local stack, at their usual life.
    #[must_use]
    pub fn local(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), identities: IDENTITIES.map(str::to_owned).to_vec(), life: LEAF_LIFE }
    }
}

/// What was found and done.
#[derive(Debug, Clone)]
pub struct Report {
    /// The authority.
    pub authority: Entry,
    /// Each identity, in the order asked for.
    pub identities: Vec<Entry>,
}

impl Report {
    /// When the first of these certificates will want renewal: the time to call [`ensure`] again.
    #[must_use]
    pub fn renew_at(&self) -> OffsetDateTime {
        self.identities
            .iter()
            .map(|entry| entry.validity.renew_at())
            .fold(self.authority.validity.renew_at(), OffsetDateTime::min)
    }
}

/// One certificate: what was done about it and how long it is good for.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `ca` or the identity.
    pub name: String,
    /// Where its files are.
    pub dir: PathBuf,
    /// What was done.
    pub outcome: Outcome,
    /// From when to when it is valid.
    pub validity: Validity,
}

/// What [`ensure`] did about one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There was none.
    Made,
    /// It is good and was left alone.
    Kept,
    /// There was one, and this is why it could not stay.
    Renewed(Reason),
}

/// Why a certificate was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Less than a third of its life is left, or none.
    Expiring,
    /// Another authority signed it.
    OtherAuthority,
    /// It names other hosts than asked for.
    OtherNames,
    /// A file is missing, is not what it should be, or the key is not the certificate's.
    Damaged,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expiring => "less than a third of its life was left",
            Self::OtherAuthority => "another authority had signed it",
            Self::OtherNames => "it named other hosts",
            Self::Damaged => "its files were incomplete or did not match",
        })
    }
}

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub not_before: OffsetDateTime,
    /// Last moment.
    pub not_after: OffsetDateTime,
}

impl Validity {
    fn starting(now: OffsetDateTime, life: Duration) -> Self {
        // X.509 times have whole seconds.
        let now = now.replace_nanosecond(0).unwrap_or(now);
        Self { not_before: now - BACKDATE, not_after: now + life }
    }

    /// When a third of its life is left: from here on it is renewed.
    #[must_use]
    pub fn renew_at(&self) -> OffsetDateTime {
        self.not_after - (self.not_after - self.not_before) / 3
    }
}

/// Why certificates could not be made.
#[derive(Debug, Error)]
pub enum CertsError {
    /// A name that cannot stand in a certificate, or would leave the directory.
    #[error(
        "{0:?} cannot be an identity: use a DNS name of lower-case letters, digits, '-' and '.' other than \"ca\""
    )]
    Name(String),
    /// The life asked for does not fit a certificate.
    #[error("a certificate cannot live {0} days: ask for 1 to 3650")]
    Life(i64),
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: "read", "write", …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The authority's files are there but unusable. It is never replaced silently: everyone who trusts it would be
    /// cut off.
    #[error(
        "the authority in {} {problem}: put the right files back, or remove that directory to start a new authority \
         (restart what trusts the old one)",
        dir.display()
    )]
    Authority {
        /// The authority's directory.
        dir: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// The certificate could not be made.
    #[error("cannot make a certificate for {name}")]
    Make {
        /// For whom.
        name: String,
        /// Why not.
        source: rcgen::Error,
    },
}

/// Makes sure that the directory holds a good authority and a good certificate for each identity.
///
/// Keeps what is valid for the same authority and names, renews what has less than a third of its life left, makes
/// what is missing. Two callers at once wait for each other. Fails on an unusable name, on files that cannot be read
/// or written, and on an authority whose files do not fit together.
pub fn ensure(request: &Request) -> Result<Report, CertsError> {
    ensure_at(request, OffsetDateTime::now_utc())
}

fn ensure_at(request: &Request, now: OffsetDateTime) -> Result<Report, CertsError> {
    for name in &request.identities {
        check_name(name)?;
    }
    if request.life <= Duration::ZERO || request.life > AUTHORITY_LIFE {
        return Err(CertsError::Life(request.life.whole_days()));
    }
    files::make_dir(&request.dir)?;
    let _lock = files::lock(&request.dir)?;
    let (authority, entry) = Authority::ensure(&request.dir.join("ca"), now)?;
    let identities = request
        .identities
        .iter()
        .map(|name| leaf::ensure(&authority, &request.dir, name, request.life, now))
        .collect::<Result<_, _>>()?;
    Ok(Report { authority: entry, identities })
}

fn check_name(name: &str) -> Result<(), CertsError> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    // 64 is the most a common name holds.
    if name != "ca" && name.len() <= 64 && name.split('.').all(label) {
        Ok(())
    } else {
        Err(CertsError::Name(name.to_owned()))
    }
}

/// The three files of one identity.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Whom to trust.
    pub ca: PathBuf,
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// The files in an identity's directory.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self { ca: dir.join("ca.crt"), cert: dir.join("tls.crt"), key: dir.join("tls.key") }
    }
}

#[cfg(test)]
mod tests;
